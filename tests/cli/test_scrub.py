"""`flowcore scrub`: a recorded call without its words, as a file."""

from __future__ import annotations

import subprocess

import pytest

from nodes.ringcx.call_recording import read
from tests.cli.test_replay import ATTRIBUTES, noise, replay
from tests.support.live import ROOT
from tests.support.recorded_calls import grpc_call, websocket_call
from tests.support.service import FLOWCORE
from tools.voices import RECORDINGS, telephone


@pytest.mark.parametrize("make", [websocket_call, grpc_call])
def test_a_scrubbed_file_stands_beside_its_recording_and_is_the_same_each_time(tmp_path, flowcore, make):
    recording = make(tmp_path / "call.capture", {**ATTRIBUTES, "ani": "+14155550107"}, noise(1, 0.5))
    done = flowcore("scrub", recording)
    scrubbed = tmp_path / "call.scrubbed.capture"
    assert done.out.startswith(f"{scrubbed}: ")
    assert (done.code, b"4155550107" in scrubbed.read_bytes()) == (0, False)
    assert flowcore("scrub", recording, "-o", tmp_path / "again").code == 0
    assert flowcore("scrub", scrubbed, "-o", tmp_path / "twice").code == 0
    assert scrubbed.read_bytes() == (tmp_path / "again").read_bytes() == (tmp_path / "twice").read_bytes()
    with scrubbed.open("rb") as file, recording.open("rb") as other:
        assert len(list(read(file))) == len(list(read(other)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "call.capture", scrubbed.name, "twice"]


def test_what_is_no_recording_is_one_line_and_leaves_no_file(tmp_path, flowcore):
    (tmp_path / "call").write_text("RIFF\n")
    done = flowcore("scrub", tmp_path / "call")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "is no recording of a call" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["call"]


@pytest.mark.model
def test_a_recogniser_finds_no_word_of_a_scrubbed_call(tmp_path):
    spoken = {
        "agent": telephone(RECORDINGS["agent"])[: 8000 * 8],
        "customer": telephone(RECORDINGS["caller"])[: 8000 * 6],
    }
    recording = websocket_call(tmp_path / "call.capture", ATTRIBUTES, spoken)
    subprocess.run([FLOWCORE, "scrub", recording], check=True, timeout=110)
    heard = {}
    for name in ("call", "call.scrubbed"):
        done = replay(tmp_path / f"{name}.capture", ROOT / "graphs" / "transcribe.yaml", "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
        heard[name] = {word for line in done.stdout.lower().splitlines() for word in line.partition(": ")[2].split()}
    assert len(heard["call"]) > 5
    assert not heard["call"] & heard["call.scrubbed"]
