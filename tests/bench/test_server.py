"""The receiver process: it ends with the bench that started it, and its report names losses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.calls import RECORD


@pytest.mark.slow
def test_a_receiver_whose_bench_was_killed_ends(tmp_path: Path) -> None:
    settings = ["--set=call.port=0", f"--set=wav.path={tmp_path}/{{call_id}}.wav"]
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "flowcore.bench.server", RECORD, *settings, "--report", str(writing)]
    with os.fdopen(reading) as pipe, subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.PIPE) as receiver:
        os.close(writing)
        assert "url" in pipe.readline()
        pipe.close()
        try:
            receiver.wait(30)
        finally:
            receiver.kill()
