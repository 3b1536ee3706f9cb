"""Row 58: nothing can be written but the folder of the recordings, as in a hardened container."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.live import ROOT
from tests.support.phone import Phone, said, stereo

pytestmark = pytest.mark.slow

NAMESPACE = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]
READ_ONLY = (
    'mount --make-rprivate / && mount --bind "$0" "$0" && mount -o remount,ro,bind / && '
    "cd / && unset HOME XDG_RUNTIME_DIR TMPDIR TEMP TMP"
)
"""Commands of a shell whose first parameter is the folder that stays writable."""


def read_only(folder, *command):
    """Start ``command`` where only ``folder`` can be written to, and no variable names another place."""
    script = f'{READ_ONLY} && exec "$@"'
    return subprocess.Popen(
        [*NAMESPACE, "sh", "-c", script, str(folder), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(autouse=True)
def _namespaces(tmp_path):
    proof = read_only(tmp_path, "sh", "-c", f"! touch /x 2>&- && ! touch /tmp/x 2>&- && touch {tmp_path}/x")
    proof.communicate(timeout=30)
    if proof.returncode:
        pytest.skip("this machine lets the test make no read-only root")


FLOWCORE = str(Path(sys.executable).with_name("flowcore"))


@pytest.mark.fault(58)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_calls_are_recorded_where_only_the_folder_of_the_recordings_can_be_written(tmp_path, workers):
    settings = ["call.port=0", f"wav.path={tmp_path}/{{call_id}}.wav", "ordered.hold=collapse"]
    graph = str(ROOT / "graphs" / "record.yaml")
    command = [FLOWCORE, "run", graph, "--workers", workers, "--log-json", *(f"--set={one}" for one in settings)]
    process = read_only(tmp_path, *command)
    try:
        events = {}
        while "listener_opened" not in events:
            line = json.loads(process.stderr.readline())
            events[line["event"]] = line
        assert "set TMPDIR or XDG_RUNTIME_DIR, or give --control a path" in events["control_failed"]["cause"]
        assert "tap and monitor cannot connect" in events["control_failed"]["detail"]
        phone = Phone(events["listener_opened"]["address"], "one")
        phone.start()
        phone.talk(1, 1.0)
        phone.stop()
        phone.hang_up()
        while "file_finished" not in line:
            line = process.stderr.readline()
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
    assert (stereo(tmp_path / "one.wav") == said(1, 1.0)).all()


@pytest.mark.fault(58)
def test_a_path_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    process = read_only(tmp_path, FLOWCORE, "run", str(ROOT / "graphs" / "record.yaml"), "--set=call.port=0")
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "wav.path: cannot write to recordings: Read-only file system; give a path in a directory" in error


@pytest.mark.fault(58)
@pytest.mark.parametrize("command", [["calls"], ["monitor"], ["tap", "x"]])
def test_commands_that_need_the_control_socket_say_what_is_missing(tmp_path, command):
    process = read_only(tmp_path, FLOWCORE, *command)
    error = process.communicate(timeout=60)[1]
    assert process.returncode in (1, 2)
    assert "set TMPDIR or XDG_RUNTIME_DIR, or give --control a path" in error
