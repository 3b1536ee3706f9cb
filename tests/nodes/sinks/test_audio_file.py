import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from flowcore import Audio, CannotStart
from flowcore.testing import FakeDisk, NodeHarness, joined, tone
from nodes.sinks.audio_file import AudioFile

KINDS = ("flac", "opus")


def record(folder: Path, kind: str, *chunks: Audio, **config: str) -> NodeHarness:
    return NodeHarness(AudioFile, {"path": f"{folder}/{{flow}}.{kind}", **config}).push(*chunks).end()


def files(harness: NodeHarness) -> list[str]:
    return [data["path"] for event, data in harness.events if event == "file_finished"]


def test_flac_is_the_sound_bit_by_bit_and_says_how_long_it_is(tmp_path):
    chunks = tone("1370ms")
    (path,) = files(record(tmp_path, "flac", *chunks))
    assert soundfile.info(path).frames == 1.37 * 8000
    assert (soundfile.read(path, dtype="int16")[0] == joined(chunks)).all()
    heard = subprocess.run(["sox", path, "-t", "raw", "-"], capture_output=True, check=True)
    assert heard.stdout == joined(chunks).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_both_parties_keep_their_channels_and_level(tmp_path, kind):
    left, right = joined(tone("2s", hertz=400)), np.zeros(16000, np.int16)
    (path,) = files(record(tmp_path, kind, Audio(np.stack([left, right], 1), "s16", 8000, "", 0)))
    found = soundfile.read(path)[0]
    assert found.shape == (16000, 2)
    loud = np.sqrt((found**2).mean(axis=0))
    assert loud[0] == pytest.approx(0.5 / 2**0.5, rel=0.05)
    assert loud[1] < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_hole_is_silence_of_its_length(tmp_path, kind):
    (path,) = files(record(tmp_path, kind, *tone("500ms"), *tone("500ms", start=80_000)))
    found = soundfile.read(path)[0]
    assert len(found) == 84_000
    assert not np.round(found[8000:76_000], 3).any()


@pytest.mark.parametrize("kind", KINDS)
def test_size_begins_the_next_file(tmp_path, kind):
    noise = np.random.default_rng(1).integers(-20000, 20000, (400, 400)).astype(np.int16)
    chunks = [Audio(block, "s16", 8000, "agent", 400 * number) for number, block in enumerate(noise)]
    paths = files(record(tmp_path, kind, *chunks, max="16KiB"))
    assert len(paths) > 1
    assert sum(soundfile.info(path).frames for path in paths) == 160_000


def test_call_without_sound_leaves_no_file(tmp_path):
    assert files(record(tmp_path, "flac")) == []
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_keeps_what_it_took_and_raises_nothing(tmp_path):
    noise = np.random.default_rng(1).integers(-20000, 20000, (400, 400)).astype(np.int16)
    with FakeDisk(tmp_path) as disk:
        harness = NodeHarness(AudioFile, {"path": f"{tmp_path}/x.flac"})
        disk.room = 100_000
        harness.push(*(Audio(block, "s16", 8000, "agent", 400 * number) for number, block in enumerate(noise)))
        disk.room = None
        harness.end()
    (path, *_) = files(harness)
    kept = soundfile.read(path, dtype="int16")[0]
    assert (kept == noise.ravel()[: len(kept)]).all()
    assert 90_000 < 2 * len(kept) <= 100_000
    assert harness.dropped["disk_full"] > 5


WRITER = """
import os, sys
import numpy as np
from flowcore import Audio
from flowcore.testing import NodeHarness
from nodes.sinks.audio_file import AudioFile
harness = NodeHarness(AudioFile, {"path": sys.argv[1]})
for number in range(100):
    wave = (8000 * np.sin(np.arange(800) + 800 * number)).astype(np.int16)
    harness.push(Audio(np.stack([wave, wave], 1), "s16", 8000, "", 800 * number))
os.kill(os.getpid(), 9)
"""


class Report:
    """What `recover` tells."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def event(self, event: str, **data: object) -> None:
        self.events.append((event, data))


@pytest.mark.fault(36)
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "lost"), [("flac", 0.6), ("ogg", 1.1), ("opus", 1.1)])
def test_killed_writer_loses_no_more_than_its_encoder_holds(tmp_path, kind, lost):
    wanted = f"{tmp_path}/x.{kind}"
    assert subprocess.run([sys.executable, "-c", WRITER, wanted], check=False).returncode == -9
    report = Report()
    AudioFile.recover(AudioFile.Config(path=wanted), report)
    ((event, data),) = report.events
    assert (event, data["path"]) == ("file_repaired", wanted)
    found = soundfile.read(wanted, dtype="int16")[0]
    assert 80_000 - lost * 8000 <= len(found) <= 80_000
    assert data["seconds"] == pytest.approx(len(found) / 8000, abs=0.001)
    assert sorted(os.listdir(tmp_path)) == [f"x.{kind}", f"x.{kind}.json"]
    if kind == "flac":
        wave = (8000 * np.sin(np.arange(800)[None] + 800 * np.arange(100)[:, None])).astype(np.int16).ravel()
        assert (found[:, 0] == wave[: len(found)]).all()


def test_leftovers_that_hold_nothing_or_are_not_ours_are_told_and_left(tmp_path):
    (tmp_path / "a.flac.part").write_bytes(b"of another program" * 10)
    (tmp_path / "b.flac.part").write_bytes(b"fLaC")
    report = Report()
    AudioFile.recover(AudioFile.Config(path=f"{tmp_path}/{{flow}}.flac"), report)
    assert [(event, data["detail"]) for event, data in report.events] == [
        ("repair_failed", "another program wrote it"),
        ("repair_failed", "it holds no audio"),
    ]


def test_format_is_named_by_the_end_of_the_path():
    with pytest.raises(ValidationError, match=r"end it in \.flac, \.ogg, \.opus; wav_file writes \.wav"):
        AudioFile.Config(path="x.wav")
    assert not AudioFile.accepts(AudioFile.Config(path="x.flac"))[0].rates
    assert 11025 not in AudioFile.accepts(AudioFile.Config(path="x.opus"))[0].rates


def test_place_that_cannot_be_written_names_field_and_fix(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"^path: cannot write to"):
        NodeHarness(AudioFile, {"path": f"{tmp_path}/file/x.flac"})
