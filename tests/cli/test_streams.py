"""Standard streams that are closed when the process starts, and logs that cannot be written."""

import contextlib
import io
import os
import subprocess
import sys

import pytest

from flowcore.cli import streams
from flowcore.cli.streams import BackgroundWriter

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


@pytest.mark.slow
def test_a_closed_stream_gives_its_number_to_no_file(tmp_path):
    file = tmp_path / "out"
    for closed in ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"):
        subprocess.run(["sh", "-c", f'exec "$0" -c "$1" "$2" {closed}', sys.executable, OPENS, file], timeout=60)
        assert file.read_text() == "True", closed


def test_everything_is_written_in_order_before_close_returns():
    stream = io.StringIO()
    log = BackgroundWriter(stream)
    for number in range(1000):
        log.write(f"{number}\n")
    log.close()
    assert stream.getvalue() == "".join(f"{number}\n" for number in range(1000))
    assert log.lost == 0


def test_a_pipe_that_nobody_reads_takes_what_it_can_and_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(streams, "MAX_WAITING", 100)
    monkeypatch.setattr(streams, "CLOSE_TIMEOUT", 0.05)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)  # what is read below may be less than what the thread still writes
    with os.fdopen(writing, "w") as stream:
        log = BackgroundWriter(stream)
        for _ in range(5000):
            log.write("x" * 999 + "\n")
        log.close()
        assert 5000 - 100 - 66 <= log.lost + 1 <= 5000
        while log._thread.is_alive():
            with contextlib.suppress(BlockingIOError):
                os.read(reading, 1 << 16)
    os.close(reading)


class Full(io.StringIO):
    def flush(self):
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_counted_and_raises_nowhere():
    log = BackgroundWriter(Full())
    log.write("one\n")
    log.write("two\n")
    log.close()
    assert log.lost == 2
