"""RingCentral's own sample for Node as the receiver: to its authors, `flowcore simulate` sends what RingCX sends."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import wave
from pathlib import Path

import numpy as np
import pytest
from websockets.sync.client import connect

from nodes.audio import g711
from tests.support.ports import free_port
from tools.fake_google import mulaw

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).parents[2] / "tools" / "node_sample"
FLOWCORE = str(Path(sys.executable).with_name("flowcore"))
PATIENCE = 60
FIRST = 3.0
"""Second of the call at which the first word begins; the viewer is connected by then."""


def installed():
    """The sample from npm, once for this checkout."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.fail("there is no node or no npm: `make debs` as root, or install Node.js 20", pytrace=False)
    done = SAMPLE / ".installed"
    wanted = (SAMPLE / "package.json").read_text()
    if not done.exists() or done.read_text() != wanted:
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        npm = subprocess.run(command, cwd=SAMPLE, capture_output=True, text=True, timeout=110)
        if npm.returncode:
            pytest.fail(f"npm could not install the sample: {npm.stderr[-500:]}", pytrace=False)
        done.write_text(wanted)


class Sample:
    """Run the sample as a process; ``said`` holds the lines that it prints."""

    def __init__(self, port):
        command = ["node", "server.js", str(port)]
        self.process = subprocess.Popen(
            command, cwd=SAMPLE, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=1
        )
        self.said = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)

    def __enter__(self):
        self._reader.start()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._reader.join()
        self.process.stdout.close()

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.said.append(line.rstrip())
                self._news.notify_all()

    def line(self, part):
        """The first line with this in it, once it is there."""
        with self._news:
            assert self._news.wait_for(lambda: any(part in line for line in self.said), PATIENCE), self.said
            return next(line for line in self.said if part in line)


def recording(path, first):
    """Five words of 0.3 s, and how a recogniser writes them."""
    words = [(first + n, FIRST + n * 0.4, FIRST + n * 0.4 + 0.3) for n in range(5)]
    samples = g711.decode(np.frombuffer(mulaw(words, FIRST + 2.5), np.uint8))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return [f"w{number}" for number, _, _ in words]


def test_the_sample_writes_down_what_both_parties_of_a_simulated_call_say(tmp_path):
    installed()
    agent, customer = recording(tmp_path / "agent.wav", 0), recording(tmp_path / "caller.wav", 100)
    port = free_port()
    with Sample(port) as sample:
        sample.line("Client URI")
        voices = ["--agent", str(tmp_path / "agent.wav"), "--caller", str(tmp_path / "caller.wav")]
        call = subprocess.Popen([FLOWCORE, "simulate", *voices, f"ws://127.0.0.1:{port}/"], stderr=subprocess.PIPE)
        name = sample.line("Starting Media Stream").partition(":")[0]
        heard = []
        with connect(f"ws://127.0.0.1:{port}/client-ws?callId={name}") as page:
            while sum(message["isFinal"] for message in heard) < 10:
                heard.append(json.loads(page.recv(timeout=PATIENCE)))
        errors = call.communicate(timeout=PATIENCE)[1]
        assert call.returncode == 0, errors
        assert sample.process.poll() is None
        assert not [line for line in sample.said if "Error" in line]
    for channel, words in (("agent", agent), ("conference", customer)):
        assert [m["transcription"] for m in heard if m["isFinal"] and m["channel"] == channel] == words
