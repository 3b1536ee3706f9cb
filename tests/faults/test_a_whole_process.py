"""Rows 19, 20, 33, 35 and 36: a process that is asked to stop, killed, or lied to in its log."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.sinks.wav_file import WavFile
from tests.support.live import ROOT
from tests.support.phone import Phone, knock, said, stereo
from tests.support.phone_grpc import GrpcPhone
from tools.load import mulaw

pytestmark = pytest.mark.slow

URL = re.compile(r'"(ws://[^"]+)"')


class Process:
    """``flowcore run`` of a recording graph, with its log in JSON lines."""

    def __init__(self, folder, *options):
        graph = str(ROOT / "graphs" / "record.yaml")
        settings = ["--set", "call.port=0", "--set", f"wav.path={folder}/{{call_id}}.wav"]
        settings += ["--set", "ordered.hold=collapse"]  # what a busy machine is late with is no pause of the callers
        self.process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("flowcore")),
                "run",
                graph,
                *settings,
                "--finish",
                "0s",
                "--log-json",
                *options,
            ],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.log = []
        self.url = URL.search(self.until("listener_opened"))[1]

    def until(self, event, count=1):
        """Read the log up to the ``count``-th line of that event from here on."""
        for line in self.process.stderr:
            self.log.append(line)
            count -= json.loads(line)["event"] == event
            if not count:
                return line
        raise AssertionError(f"the process ended without {event}: {self.log[-3:]}")

    def end(self):
        """Return the rest of the log, the paths in it, and the exit code."""
        out, rest = self.process.communicate(timeout=60)
        self.log += rest.splitlines(keepends=True)
        return self.process.returncode, out


@pytest.fixture
def started(tmp_path):
    processes = []

    def start(*options):
        processes.append(Process(tmp_path, *options))
        return processes[-1]

    yield start
    for one in processes:
        one.process.kill()
        one.process.communicate()


@pytest.mark.fault(35)
@pytest.mark.slow
def test_sigterm_during_50_calls_leaves_every_recording_whole(tmp_path, started):
    process = started()
    phones = [Phone(process.url, f"call{number}") for number in range(50)]
    for number, phone in enumerate(phones):
        phone.start()
        phone.talk(number, 0.5)
    for phone in phones:  # a ping is answered once all before it was read
        phone.socket.sendall(b"\x89\x80" + bytes(4))
        assert phone.socket.recv(2) == b"\x8a\x00"
    process.process.send_signal(signal.SIGTERM)
    code, _ = process.end()
    assert code == 0
    for number in range(50):
        assert np.array_equal(stereo(tmp_path / f"call{number}.wav"), said(number, 0.5))
    closed = [json.loads(line) for line in process.log if '"flow_closed"' in line]
    assert [line["reason"] for line in closed] == ["stopping"] * 50


WRITER = """
import os, sys
import numpy as np
from flowcore import Audio
from flowcore.testing import NodeHarness
from nodes.sinks.wav_file import WavFile

for folder in sys.stdin:  # a process for each, which has nothing to import any more
    if child := os.fork():
        os.waitpid(child, 0)
        print("\\nkilled", flush=True)  # the last line of a killed one may be half a line
        continue
    print(os.getpid(), flush=True)
    harness = NodeHarness(WavFile, {"path": folder.strip() + "/{call_id}.wav"})
    for number in range(30_000):
        harness.push(Audio(np.full(80, number, np.int16), "s16", 8000, "agent", 80 * number))
        print(number + 1, flush=True)
    break
"""


class Quiet:
    """A report that discards everything."""

    def event(self, event, **data): ...


def readings(path):
    """Return the samples of a recording as three readers see them."""
    with wave.open(str(path)) as file:
        yield np.frombuffer(file.readframes(1 << 24), "<i2")  # a file that was cut short has fewer than it says
    yield soundfile.read(path, dtype="int16")[0]
    raw = subprocess.run(["sox", "--ignore-length", path, "-t", "raw", "-"], capture_output=True, check=True).stdout
    yield np.frombuffer(raw, "<i2")


@pytest.mark.fault(36, 49)
@pytest.mark.slow
def test_killed_at_100_random_moments_all_that_was_acknowledged_is_readable(tmp_path):
    picks = random.Random(36)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as writers:
        for number in range(100):
            folder = tmp_path / str(number)
            writers.stdin.write(f"{folder}\n")
            victim = int(writers.stdout.readline())
            wanted = picks.randint(1, 500)
            for _ in range(wanted):
                writers.stdout.readline()
            os.kill(victim, signal.SIGKILL)
            *more, _half = iter(writers.stdout.readline, "killed\n")  # it went on while the signal was on its way
            acknowledged = wanted + len(more)
            (part,) = folder.glob("*.wav.part")
            for samples in readings(part):
                assert len(samples) >= 80 * acknowledged
                assert (samples == np.arange(len(samples)) // 80).all()
            WavFile.recover(WavFile.Config(path=f"{folder}/{{call_id}}.wav"), Quiet())
            (path,) = folder.glob("*.wav")
            for samples in readings(path):
                assert len(samples) >= 80 * acknowledged
                assert (samples == np.arange(len(samples)) // 80).all()
            told = json.loads((folder / f"{path.name}.json").read_text())  # row 49
            assert (told["end"], told["complete"], told["session"]["call_id"]) == ("killed", False, "call-1")
            assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
            assert sorted(os.listdir(folder)) == [path.name, f"{path.name}.json"]
        writers.stdin.close()


MARKERS = {"ani": "+15550100077", "secret": "tok-SECRET-8842"}


@pytest.mark.fault(19, 20)
@pytest.mark.slow
def test_no_peer_can_forge_a_log_line_or_find_its_number_and_audio_there(tmp_path, started):
    process = started("--calls", "1")
    phone = Phone(process.url + f"?token={MARKERS['secret']}", 'x\n{"level":"info","event":"forged"}\x1b[2J')
    phone.sender = type(phone.sender)(
        {"call_id": 'x\n{"event":"forged"}\x1b[2J', "session_id": "1", "ani": MARKERS["ani"]}
    )
    phone.start()
    phone.talk(7, 0.2)
    phone.say(b"no json tok-SECRET-8842", b"\x1b[2J\n{}")
    phone.say(*[b"no json tok-SECRET-8842"] * 16)  # ends the call, with an event
    code, out = process.end()
    assert code == 0
    assert len([json.loads(line) for line in process.log]) == len(process.log) > 3
    assert not any(json.loads(line)["event"] == "forged" for line in process.log)
    assert not any("\x1b" in line for line in process.log)
    media = phone.sender.media("agent", bytes(range(160)))[60:120].decode()
    for marker in (*MARKERS.values(), media):
        assert marker not in "".join(process.log)
        assert marker not in out


@pytest.mark.fault(19, 20)
@pytest.mark.slow
def test_no_peer_can_forge_a_log_line_or_find_its_number_and_audio_there_over_grpc(tmp_path, started):
    process = started("--calls", "1")
    forged = 'x\n{"event":"forged"}\x1b[2J'
    number, secret = MARKERS["ani"], MARKERS["secret"]
    ids = {"dialog_id": forged, "session_id": forged, "ani": number, "token": secret, "note": forged}
    url = process.url.rstrip("/")
    phone = GrpcPhone(url, forged, metadata=(("authorization", f"Bearer {secret}"),), **ids)
    phone.start()
    joined = pb.SegmentStartEvent(segment_id=forged, participant=pb.Participant(id=number, type=pb.CONTACT))
    other = pb.SegmentStartEvent(segment_id="other", participant=pb.Participant(id=number, type=99))
    phone.say(*(pb.StreamEvent(segment_start=start).SerializeToString() for start in (joined, other)))
    phone.say(phone.sender.info("agent", forged))
    phone.talk(7, 0.2)
    phone.say(*[b"\xffno protobuf tok-SECRET-8842"] * 16)  # ends the call, with an event
    assert phone.answer() == "INVALID_ARGUMENT"
    code, out = process.end()
    assert code == 0
    events = [json.loads(line)["event"] for line in process.log]
    assert {"participant_joined", "segment_reported", "protocol_violated", "flow_closed"} <= set(events)
    assert "forged" not in events
    for marker in (*MARKERS.values(), "\x1b", "no protobuf"):
        assert marker not in "".join(process.log)
        assert marker not in out


@pytest.mark.fault(20)
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["off", "observe", "require"])
def test_no_marker_gets_into_log_output_counters_or_answers(mode, tmp_path, started, monkeypatch):
    secret, ani, dnis, wrong = "s3cret-MARKER-4711", "+15550100078", "+15550100079", "wr0ng-MARKER-0815"
    monkeypatch.setenv("RINGCX_SECRET", secret)
    settings = ["--set", "call.secret=${RINGCX_SECRET}", "--set", f"call.secret_mode={mode}"]
    process = started(*settings, "--stats", str(tmp_path / "stats.json"), "--control", str(tmp_path / "control"))
    stranger, answer = knock(process.url, headers=f"Authorization: Bearer {wrong}\r\n")
    stranger.close()
    assert (b" 401 " in answer) == (mode == "require")
    phone = Phone(f"{process.url}?secret={secret}&ani={ani}", headers=f"Authorization: Bearer {secret}\r\n")
    phone.sender = type(phone.sender)({"call_id": "one", "session_id": "1", "ani": ani, "dnis": dnis, "secret": secret})
    phone.start()
    phone.talk(7, 0.2)
    phone.say(b"no json " + secret.encode(), json.dumps({"event": secret, "secret": wrong}).encode())
    process.until("flow_opened")
    told = subprocess.run(
        [Path(sys.executable).with_name("flowcore"), "calls", "--json", "--control", str(tmp_path / "control")],
        capture_output=True,
        text=True,
    )
    assert "one" in told.stdout
    phone.stop()
    phone.hang_up()
    process.process.send_signal(signal.SIGTERM)
    code, out = process.end()
    assert code == 0
    said_of_it = [*process.log, out, answer.decode(), told.stdout, told.stderr, (tmp_path / "stats.json").read_text()]
    assert any('"secret_found"' in line for line in process.log) == (mode == "observe")
    media = phone.sender.media("agent", mulaw(7, "agent", 0.2)[:160])[80:200].decode()
    for marker in (secret, wrong, ani, dnis, media):
        assert marker not in "".join(said_of_it)


@pytest.mark.fault(53)
@pytest.mark.slow
def test_a_log_that_is_never_read_stops_no_call(tmp_path, started):
    process = started("--calls", "400")  # their log is longer than a pipe holds
    for batch in range(0, 400, 100):
        phones = [Phone(process.url, f"call{number}") for number in range(batch, batch + 100)]
        for phone in phones:
            phone.start()
            phone.talk(7, 0.04)
            phone.stop()
        for phone in phones:
            phone.hang_up()
    code, _ = process.end()
    assert code == 0
    assert len(list(tmp_path.glob("*.wav"))) == 400
    assert len("".join(process.log)) > 1 << 16
    assert sum('"event": "flow_closed"' in line for line in process.log) == 400
