"""`flowcore replay`: a recorded call through a graph, the same bytes each time."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.live import ROOT
from tests.support.perfetto import read as read_perfetto
from tests.support.phone import said, stereo
from tests.support.recorded_calls import grpc_call, websocket_call
from tools.voices import RECORDINGS, telephone

FLOWCORE = Path(sys.executable).with_name("flowcore")
ATTRIBUTES = {"call_id": "uii-1", "session_id": "7"}


def noise(call: int, seconds: float) -> dict[str, np.ndarray]:
    """The voices of a call, as `tests.support.phone.said` knows them."""
    expected = said(call, seconds)
    return {"agent": expected[:, 0], "customer": expected[:, 1]}


def replay(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(map(str, [FLOWCORE, "replay", *arguments]), capture_output=True, text=True, timeout=110)


def contents(folder: Path) -> dict[str, str]:
    """The checksum of each file below a folder, by its path in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("make", [websocket_call, grpc_call])
def test_a_recorded_call_gives_its_recording_at_the_time_of_the_call(tmp_path, make):
    recording = make(tmp_path / "call.jsonl", ATTRIBUTES, noise(3, 2.0))
    done = replay(recording, ROOT / "graphs" / "record.yaml", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    (wav,) = (tmp_path / "out").rglob("*.wav")
    assert wav.relative_to(tmp_path / "out").parts == ("recordings", "2026-01-02", "20260102T030405-00000001.wav")
    assert np.array_equal(stereo(wav), said(3, 2.0))


@pytest.mark.model
def test_the_same_call_gives_the_same_bytes_twice_also_of_the_words_and_their_lags(tmp_path):
    spoken = {
        "agent": telephone(RECORDINGS["agent"])[: 8000 * 8],
        "customer": telephone(RECORDINGS["caller"])[: 8000 * 6],
    }
    recording = websocket_call(tmp_path / "call.jsonl", ATTRIBUTES, spoken)
    graph = ROOT / "graphs" / "transcribe.yaml"
    for folder in ("one", "two"):
        done = replay(recording, graph, "-o", tmp_path / folder, "--quiet")
        assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert {Path(name).suffix for name in contents(tmp_path / "one")} == {".json", ".jsonl", ".wav"}


@pytest.mark.slow
def test_files_go_below_the_output_whatever_path_the_graph_has(tmp_path):
    recording = websocket_call(tmp_path / "call.jsonl", ATTRIBUTES, noise(1, 0.4))
    for number, path in enumerate((tmp_path / "kept" / "{call_id}.wav", "../{call_id}.wav")):
        setting = f"wav.path={path}"
        done = replay(recording, ROOT / "graphs" / "record.yaml", "-o", tmp_path / f"out{number}", "--set", setting)
        assert done.returncode == 0, done.stderr
        assert len(list((tmp_path / f"out{number}").rglob("uii-1.wav"))) == 1
    assert not (tmp_path / "kept").exists()
    assert not (tmp_path / "uii-1.wav").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "graph", "message"),
    [
        ("", "record", "is empty: `flowcore capture` makes recordings"),
        ("RIFF\n", "record", "is no recording of a call: line 1 is not valid in a recording"),
        ("", "simulate", "voices (wav_source) has no recordings: replay a graph that begins with ringcx"),
    ],
)
def test_what_cannot_be_replayed_is_one_line(tmp_path, text, graph, message):
    recording = tmp_path / "call.jsonl"
    recording.write_text(text)
    settings = ["--set", "voices.agent=a.wav", "--set", "voices.customer=b.wav"] if graph == "simulate" else []
    done = replay(recording, ROOT / "graphs" / f"{graph}.yaml", *settings)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("speed", ["0", "fast", "-1", "inf", "nan"])
def test_a_wrong_speed_is_refused(tmp_path, flowcore, speed):
    (tmp_path / "call.jsonl").touch()
    done = flowcore("replay", tmp_path / "call.jsonl", ROOT / "graphs" / "record.yaml", "--speed", speed)
    assert (done.code, "give a number above 0, or max" in done.err) == (2, True)


def test_an_output_that_would_be_a_template_is_refused(tmp_path, flowcore):
    recording = websocket_call(tmp_path / "call.jsonl", ATTRIBUTES, noise(1, 0.1))
    done = flowcore("replay", recording, ROOT / "graphs" / "record.yaml", "-o", tmp_path / "{out}")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "braces" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("speed", ["max", "100"])
def test_the_work_of_a_replay_is_written_for_perfetto_and_changes_no_file(tmp_path, speed):
    recording = websocket_call(tmp_path / "call.jsonl", {"call_id": "planted-id", "ani": "+14155550142"}, noise(1, 3.0))
    graph, trace = ROOT / "graphs" / "record.yaml", tmp_path / "call.json"
    done = replay(recording, graph, "-o", tmp_path / "one", "--speed", speed, "--perfetto", trace)
    assert done.returncode == 0, done.stderr
    assert replay(recording, graph, "-o", tmp_path / "two").returncode == 0
    sound = [next(iter((tmp_path / name).rglob("*.wav"))).read_bytes() for name in ("one", "two")]
    assert sound[0] == sound[1]
    events = read_perfetto(trace)
    work = [event for event in events if event["ph"] == "X"]
    assert {event["name"] for event in work} == {"ordered", "voices", "voices~interleave", "wav"}
    assert sum(event["args"]["audio_ms"] for event in work if event["name"] == "ordered" and "args" in event) == 6000
    assert not {"planted-id", "14155550142"} & set(trace.read_text().replace('"', " ").split())
    if speed == "max":  # in the time of the call
        assert max(event["ts"] for event in work) == pytest.approx(3e6, abs=0.5e6)
