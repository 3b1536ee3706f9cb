"""The comparison with peers notices losses, counts the right CPU, and runs from end to end."""

import json
import os
import shutil
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr

from tools.load import TRACKS, samples
from tools.peers.compare import BUSY, Figures, Measurement, table
from tools.peers.recordings import faults, whole
from tools.peers.servers import Need, cpu_of

ROOT = Path(__file__).parents[2]
SECONDS = 2.0
CALL = 7


def said(call=CALL):
    return np.stack([samples(call, track, SECONDS) for track in TRACKS], axis=1)


def resampled(sound):
    return np.stack([soxr.resample(sound[:, party], 8000, 16000) for party in range(2)], axis=1).astype("<i2")


def written(path, sound, rate):
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, rate, 0, "NONE", ""))
        file.writeframes(np.ascontiguousarray(sound, "<i2").tobytes())
    return path


def cut(sound, begin, length):
    return np.delete(sound, slice(begin, begin + length), axis=0)


def one_sample_off(sound):
    wrong = sound.copy()
    wrong[12345 % len(wrong), 1] ^= 1
    return wrong


def test_a_recording_of_what_was_said_is_whole(tmp_path):
    assert whole(written(tmp_path / "a.wav", said(), 8000), CALL, SECONDS, 8000)


@pytest.mark.parametrize(
    "wrong",
    [one_sample_off(said()), said()[:, ::-1], cut(said(), 8000, 160), said()[:-1], said(CALL + 1)],
    ids=["one bit", "sides swapped", "20 ms lost", "last sample lost", "another call"],
)
def test_one_wrong_sample_is_noticed(tmp_path, wrong):
    assert not whole(written(tmp_path / "a.wav", wrong, 8000), CALL, SECONDS, 8000)


def test_a_resampled_recording_is_whole_without_its_last_moment(tmp_path):
    sound = resampled(said())
    assert whole(written(tmp_path / "a.wav", sound, 16000), CALL, SECONDS, 16000)
    assert whole(written(tmp_path / "a.wav", sound[:-1000], 16000), CALL, SECONDS, 16000)


@pytest.mark.parametrize(
    "wrong",
    [resampled(said())[:, ::-1], cut(resampled(said()), 20000, 320), resampled(said())[:-2000], resampled(said(8))],
    ids=["sides swapped", "20 ms lost", "an eighth of a second lost", "another call"],
)
def test_what_a_resampled_recording_has_lost_is_noticed(tmp_path, wrong):
    assert not whole(written(tmp_path / "a.wav", wrong, 16000), CALL, SECONDS, 16000)


def test_recordings_that_are_missing_or_no_wav_are_counted(tmp_path):
    written(tmp_path / "load-000000.wav", said(0), 8000)
    (tmp_path / "load-000001.wav").write_bytes(b"RIFF")
    assert faults(tmp_path, 3, SECONDS, 8000) == ["2 of 3 recordings not whole"]


def test_the_cpu_of_a_process_is_that_of_its_own_clock():
    before = time.process_time()
    seen = cpu_of(os.getpid())
    assert before <= seen <= time.process_time()


def measurement(cpu_us, **more):
    return Measurement(50, Need(cpu_us, cpu_us * 0.005, 10.0), **more)


def test_calls_are_held_when_all_is_whole_and_the_core_has_some_left():
    assert measurement(10.0).held
    assert not measurement(10.0, lost="1 of 50 recordings not whole").held
    assert not measurement(10.0, late_ms=25.0).held
    assert not Measurement(50, Need(10.0, BUSY, 0.0)).held


def test_the_table_shows_medians_ratios_and_what_was_lost():
    reader = Figures("socket", rounds=[measurement(4.0), measurement(9.0), measurement(5.0)])
    other = Figures(
        "all", rounds=[measurement(20.0, lost="3 closed")], tries=[measurement(18.0)], held=50, at_least=True
    )
    absent = Figures("more", missing="no node here")
    lines = table({"reader": reader, "other": other, "absent": absent}).splitlines()
    assert lines[2] == "| reader | socket | 5.0 µs (4.0 to 9.0) | 1.0 | 10 KiB |  |  |"
    assert lines[3] == "| other | all **(3 closed)** | 20.0 µs (20.0 to 20.0) | 4.0 | 10 KiB | >= 50 | 18.0 µs |"
    assert lines[4] == "| absent | more | not measured: no node here | | | | |"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("taskset") or os.cpu_count() == 1, reason="needs taskset and two cores")
def test_the_reader_and_flowcore_side_by_side(tmp_path):
    command = [sys.executable, "tools/peers/compare.py", "--rounds", "1", "--calls", "5", "--seconds", "3", "--no-held"]
    command += ["--json", str(tmp_path / "figures.json"), "--only", "bare reader", "flowcore"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    figures = json.loads((tmp_path / "figures.json").read_text())["peers"]
    assert set(figures) == {"bare reader", "flowcore"}, done.stderr
    for peer in figures.values():
        (one,) = peer["rounds"]
        assert one["lost"] == ""  # the machine may be slow, and the generator late: nothing is lost by that
        assert one["need"]["cpu_us"] > 0
