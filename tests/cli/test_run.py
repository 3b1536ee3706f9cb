"""`flowcore run` and `flowcore simulate` as processes: what a user sees, and the exit codes."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import termios
import wave
from pathlib import Path

import numpy as np
import pytest
import trustme

from flowcore.testing import tone
from tests.support.live import until
from tests.support.phone import Phone, said, stereo

ROOT = Path(__file__).parents[2]
FLOWCORE = Path(sys.executable).with_name("flowcore")
TIMELESS = ("--set", "ordered.hold=collapse")
"""What a busy machine is late with is no pause of the call."""
pytestmark = pytest.mark.slow


def flowcore(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([FLOWCORE, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)


class Server:
    """`flowcore run` in the background, once it listens; ``terminal`` is the one that it has, and else it has none."""

    def __init__(self, graph: str, *arguments: str, cwd: Path, terminal: int | None = None) -> None:
        def prepare() -> None:
            # These tests may run under nohup, which flowcore would respect.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            if terminal is not None:
                fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

        command = [str(FLOWCORE), "run", str(ROOT / "graphs" / graph), "--set", "call.port=0", *arguments]
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
            start_new_session=True,
            pass_fds=() if terminal is None else (terminal,),
            preexec_fn=prepare,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "listener_opened" in line:
                self.url = re.search(r"wss?://\S+", line)[0]  # type: ignore[index]
                return
        raise AssertionError(f"it ended with {self.process.wait()}")

    def until(self, *words: str) -> None:
        """Read the log until it had all these words."""
        assert self.process.stderr is not None
        missing = set(words)
        for line in self.process.stderr:
            missing -= {word for word in missing if word in line}
            if not missing:
                return
        raise AssertionError(f"it ended without {missing}")

    def end(self) -> tuple[int, str, str]:
        try:
            out, err = self.process.communicate(timeout=60)
        finally:
            self.process.kill()  # at most one test shall fail of it
        return self.process.returncode, out, err


def voice(path: Path, length: str = "1s", hertz: float = 440) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        for chunk in tone(length, hertz=hertz):
            file.writeframes(chunk.samples.tobytes())
    return path


def test_a_simulated_call_is_recorded_and_its_file_named_last(tmp_path):
    server = Server("record.yaml", *TIMELESS, "--calls", "2", cwd=tmp_path)
    agent, caller = voice(tmp_path / "agent.wav"), voice(tmp_path / "caller.wav", hertz=300)
    parties = ["--agent", str(agent), "--caller", str(caller), "--calls", "2", "--speed", "0"]
    client = flowcore("simulate", *parties, server.url, cwd=tmp_path)
    assert (client.returncode, client.stdout) == (0, "")
    code, out, _ = server.end()
    assert code == 0
    files = out.split()
    assert len(files) == 2
    for name in files:
        with wave.open(str(tmp_path / name)) as file:
            heard = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        assert len(heard) == 8000
        for channel, hertz in enumerate((440, 300)):
            spectrum = np.abs(np.fft.rfft(heard[:, channel]))
            assert int(np.argmax(spectrum)) == hertz


def test_a_stereo_recording_is_simulated_again_and_recorded_the_same(tmp_path):
    agent, caller = voice(tmp_path / "agent.wav"), voice(tmp_path / "caller.wav", hertz=300)
    recordings = []
    for parties in ((agent, caller), (None, None)):
        first, second = (party or recordings[0] for party in parties)
        server = Server("record.yaml", *TIMELESS, "--calls", "1", cwd=tmp_path)
        client = flowcore(
            "simulate", f"--agent={first}", f"--caller={second}", "--speed", "0", server.url, cwd=tmp_path
        )
        assert client.returncode == 0
        recordings.append(tmp_path / server.end()[1].strip())
    before, again = (path.read_bytes() for path in recordings)
    assert len(before) == 44 + 4 * 8000
    assert again == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_leaves_with_0(tmp_path, number):
    server = Server("record.yaml", cwd=tmp_path)
    server.process.send_signal(number)
    code, _, err = server.end()
    assert code == 0
    assert "stop_requested" in err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_closed_terminal_ends_all_in_order(tmp_path, workers):
    ours, theirs = os.openpty()
    server = Server("record.yaml", "--workers", workers, cwd=tmp_path, terminal=theirs)
    os.close(theirs)
    os.close(ours)
    code, _, err = server.end()
    assert code == 0
    assert "stop_requested" in err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_a_terminal_sighup_reads_the_certificate_anew_and_ends_no_call(tmp_path, workers):
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    files = tmp_path / "cert.pem", tmp_path / "key.pem"

    def issue(name: str) -> None:
        issued = authority.issue_cert(name)
        issued.cert_chain_pems[0].write_to_path(files[0])
        issued.private_key_pem.write_to_path(files[1])

    issue("localhost")
    tls = f"call.tls={{cert: {files[0]}, key: {files[1]}}}"
    server = Server("record.yaml", *TIMELESS, "--set", tls, "--workers", workers, cwd=tmp_path)
    before = Phone(server.url, "before", tls=trusting)
    before.start()
    issue("renewed.example")
    server.process.send_signal(signal.SIGHUP)  # maybe while the second worker is about to start
    server.until("files_reloaded", *["worker=2"] * (workers == "2"))

    def renewed() -> bool:
        try:
            Phone(server.url, tls=trusting).socket.close()
        except ssl.SSLCertVerificationError:
            return True
        return False

    until(lambda: all(renewed() for _ in range(8)))  # whichever worker takes them
    before.talk(7, 0.2)
    before.stop()
    before.hang_up()
    server.process.send_signal(signal.SIGTERM)
    code, out, _ = server.end()
    assert code == 0
    assert np.array_equal(stereo(tmp_path / out.strip()), said(7, 0.2))


ONE_LINE = [
    ("taken port", ["--set", "call.port=TAKEN"], 1, r"error: call\.port: port \d+ of 127.0.0.1 is taken: stop what"),
    (
        "no right to write",
        ["--set", "wav.path=/proc/none/{flow}.wav"],
        1,
        r"error: wav\.path: cannot write to /proc/none",
    ),
    ("wrong value", ["--set", "call.port=many"], 2, r"--set: error\[bad-value\]: call"),
    ("unknown key", ["--set", "wav.pth=x"], 2, r"--set: error\[unknown-field\]: wav"),
    ("no unit", ["--set", "ordered.window=120"], 2, r"--set: error\[unit-missing\].*120ms"),
    ("no place for counters", ["--stats", "/nowhere/x.json"], 2, r"error: .*--stats: cannot write /nowhere/x.json"),
    ("bad slot", ["--slot", "20"], 2, r"(?s).*--slot"),
    ("slot of no length", ["--slot", "0ms"], 2, r"(?s).*--slot: give a time from 1ms to 1s"),
    ("slot of hours", ["--slot", "10h"], 2, r"(?s).*--slot: give a time from 1ms to 1s"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "first"), [row[1:] for row in ONE_LINE], ids=[row[0] for row in ONE_LINE]
)
def test_bad_input_is_one_clear_line_and_no_traceback(tmp_path, arguments, code, first):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = [part.replace("TAKEN", str(taken.getsockname()[1])) for part in arguments]
        done = flowcore("run", str(ROOT / "graphs" / "record.yaml"), *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert re.match(first, done.stderr)
    assert "Traceback" not in done.stderr


SHELL = [
    ("output full", "nodes >/dev/full", 1, "error: No space left on device\n"),
    ("output closed", "nodes >&-", 0, ""),
    ("errors closed", "nodes --wrong 2>&-", 2, ""),
    ("no subcommand", "new", 2, "error: Missing command.\nsee  flowcore new --help\n"),
    ("reader gone", "nodes | true", 0, ""),
]


@pytest.mark.parametrize(("line", "code", "error"), [row[1:] for row in SHELL], ids=[row[0] for row in SHELL])
def test_standard_streams_that_take_nothing_cause_no_traceback(line, code, error):
    done = subprocess.run(["bash", "-c", f'"{FLOWCORE}" {line}'], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (code, error)


def test_a_recording_does_not_need_standard_error(tmp_path):
    good = voice(tmp_path / "good.wav", "200ms")
    (tmp_path / "copy.yaml").write_text(
        f"flowcore: 1\nnodes:\n  call: {{use: wav_source, with: {{path: {good}, speed: 0}}}}\n"
        f"  wav: {{use: wav_file, from: call, with: {{path: {tmp_path}/copy.wav}}}}\n"
    )
    line = f'"{FLOWCORE}" run "{tmp_path}/copy.yaml" 2>&-'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/copy.wav\n")
    with wave.open(str(tmp_path / "copy.wav")) as copy:
        assert copy.getnframes() == 1600


def test_a_missing_voice_and_a_missing_receiver_are_named(tmp_path):
    good = voice(tmp_path / "good.wav", "200ms")
    url = "ws://127.0.0.1:9/"
    done = flowcore("simulate", "--agent", "none.wav", "--caller", str(good), url, cwd=tmp_path)
    assert done.returncode == 2
    assert re.match(r"error: .*--agent.* 'none.wav' does not exist", done.stderr)
    done = flowcore("simulate", "--agent", str(good), "--caller", str(good), url, cwd=tmp_path)
    assert done.returncode == 1
    assert "call.url: no call to ws://127.0.0.1:9/" in done.stderr


def test_a_bad_phone_system_says_what_it_does_and_does_it_again(tmp_path):
    server = Server("record.yaml", "--calls", "10", cwd=tmp_path)  # each transfer makes two of one
    agent, caller = voice(tmp_path / "agent.wav", "2500ms"), voice(tmp_path / "caller.wav", "2500ms", hertz=300)
    parties = ["--agent", str(agent), "--caller", str(caller), "--calls", "2", "--speed", "0"]
    did = []
    for chaos in ("seed=7,transfer,garbage", "seed=7,garbage,transfer", "seed=8,garbage"):
        client = flowcore("simulate", *parties, "--chaos", chaos, "--log-json", server.url, cwd=tmp_path)
        assert client.returncode == 0, client.stderr
        told = [json.loads(line) for line in client.stderr.splitlines()]
        did.append(sorted([e["did"], e["at"], e.get("message", "")] for e in told if e["event"] == "chaos_injected"))
    assert server.end()[0] == 0
    assert did[0] == did[1] != did[2]
    assert sum(kind == "transfer" for kind, *_ in did[0]) == 2
    assert {kind for kind, *_ in did[2]} == {"garbage"}


@pytest.mark.parametrize(
    ("chaos", "url", "says"),
    [
        ("seed=7,hodl", "ws://127.0.0.1:9/", 'did you mean "hold"?'),
        ("seed=7,garbadge", "grpc://127.0.0.1:9", 'did you mean "garbage"?'),
    ],
)
def test_chaos_that_cannot_be_is_a_wrong_command_line(tmp_path, chaos, url, says):
    good = voice(tmp_path / "good.wav", "200ms")
    done = flowcore("simulate", "--agent", str(good), "--caller", str(good), "--chaos", chaos, url, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr


def test_every_nodes_counters_are_written_at_the_end(tmp_path):
    server = Server("record.yaml", *TIMELESS, "--calls", "1", "--stats", "stats.json", cwd=tmp_path)
    agent, caller = voice(tmp_path / "agent.wav"), voice(tmp_path / "caller.wav")
    flowcore("simulate", "--agent", str(agent), "--caller", str(caller), "--speed", "0", server.url, cwd=tmp_path)
    assert server.end()[0] == 0
    totals = json.loads((tmp_path / "stats.json").read_text())
    assert totals["flows"] == 1
    wav = totals["nodes"]["wav"]
    assert wav["in"]["ms"] == 1000
    assert {"in", "out", "dropped", "filled", "own_ms", "mean_wait_ms", "queue_ms"} <= wav.keys()
