"""Standard streams that are closed when the process starts."""

import subprocess
import sys

OPENS = """
import sys
from flowcore.cli.streams import give_up_output, occupy_closed
occupy_closed()
file = open(sys.argv[1], "w")
print("text"), print("error", file=sys.stderr)
file.write(str(file.fileno() > 2))
give_up_output()
print("dropped")
"""


def test_a_closed_stream_gives_its_number_to_no_file(tmp_path):
    file = tmp_path / "out"
    for closed in ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"):
        subprocess.run(["sh", "-c", f'exec "$0" -c "$1" "$2" {closed}', sys.executable, OPENS, file], timeout=60)
        assert file.read_text() == "True", closed
