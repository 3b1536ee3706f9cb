"""Row 35, second half: a second signal ends the process at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.phone import Phone

pytestmark = pytest.mark.slow

NODE = """
import threading

from flowcore import ANY_AUDIO, Audio, Sink, node


@node("never")
class Never(Sink[Audio]):
    caps = (ANY_AUDIO,)
    runs = "thread"

    def process(self, chunk: Audio) -> None: ...

    def flush(self) -> None:
        threading.Event().wait()
"""
GRAPH = """
flowcore: 1
import: [never.py]
nodes:
  call: {use: ringcx, with: {port: 0}}
  ordered: {use: reorder, from: call}
  never: {use: never, from: ordered}
"""


@pytest.mark.fault(35)
@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_ends_at_once_what_would_drain_for_an_hour(tmp_path, workers):
    (tmp_path / "never.py").write_text(NODE)
    (tmp_path / "graph.yaml").write_text(GRAPH)
    command = [str(Path(sys.executable).with_name("flowcore")), "run", str(tmp_path / "graph.yaml"), "--log-json"]
    command += ["--finish", "0s", "--drain", "60min", "--workers", workers]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:

            def until(event):
                return next(found for line in process.stderr if (found := json.loads(line))["event"] == event)

            phone = Phone(until("listener_opened")["address"])
            phone.start()
            phone.talk(7, 0.5)
            until("flow_opened")
            process.send_signal(signal.SIGTERM)
            until("stop_requested")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 1
