import errno
import os

import numpy as np
import pytest
import soundfile

from flowcore import Audio
from flowcore.files import NewFile
from flowcore.testing import FakeDisk, NodeHarness
from nodes.recording.containers import CannotRepair
from nodes.recording.encoded import Flac, Opus
from nodes.sinks.audio_file import AudioFile
from tests.support.recordings import EventReport, files

NOISE = np.random.default_rng(1).integers(-20000, 20000, 20_000).astype(np.int16)


def encoded(path, kind, samples, *, end=True):
    file = NewFile(path)
    container = kind(file, "s16", 8000, 1)
    for at in range(0, len(samples), 1000):
        container.write(samples[at : at + 1000])
    if end:
        container.end()
    file.close(sync=False)
    return container


@pytest.mark.parametrize("frames", [1, 4095, 4096, 4097, 20_000])
def test_finalize_writes_the_number_of_samples_into_the_header_of_flac(tmp_path, frames):
    path = tmp_path / "x.flac"
    encoded(path, Flac, NOISE[:frames])
    assert Flac.finalize(path) == frames / 8000
    assert (soundfile.read(path, dtype="int16")[0] == NOISE[:frames]).all()


def test_flac_of_a_header_only_cannot_be_repaired(tmp_path):
    path = tmp_path / "x.flac"
    encoded(path, Flac, NOISE)
    with path.open("r+b") as file:
        file.truncate(60)
    with pytest.raises(CannotRepair, match="it holds no audio"):
        Flac.finalize(path)


@pytest.mark.parametrize(("content", "says"), [(b"", "it holds no audio"), (b"another program's file" * 10, "rror")])
def test_empty_and_foreign_files_are_no_opus(tmp_path, content, says):
    path = tmp_path / "x.opus"
    path.write_bytes(content)
    with pytest.raises(CannotRepair, match=says):
        Opus.finalize(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", [Flac, Opus])
def test_the_disks_own_error_is_raised_and_no_error_of_the_encoder(tmp_path, kind):
    file = NewFile(tmp_path / "x")
    container = kind(file, "s16", 8000, 1)

    def refuse(data):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    file.append = refuse
    with pytest.raises(OSError, match="Input/output error"):
        container.write(np.tile(NOISE, 100))
    with pytest.raises(OSError, match="Input/output error"):
        container.end()
    file.close(sync=False)


def test_an_encoder_that_fails_on_its_own_raises_its_own_error(tmp_path):
    file = NewFile(tmp_path / "x")
    container = Flac(file, "s16", 8000, 1)
    container._encoder.close()
    with pytest.raises(RuntimeError, match="closed file"):
        container.write(NOISE)
    file.close(sync=False)


def test_room_ends_with_the_limit(tmp_path):
    container = encoded(tmp_path / "x.flac", Flac, NOISE)
    size = container._file.size
    assert container.room(size) == 0
    assert container.room(size + 1) > 1 << 40


def test_a_full_disk_keeps_its_samples_and_raises_no_error(tmp_path):
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


def test_empty_and_foreign_files_are_reported_and_left(tmp_path):
    (tmp_path / "a.flac.part").write_bytes(b"of another program" * 10)
    (tmp_path / "b.flac.part").write_bytes(b"fLaC")
    report = EventReport()
    AudioFile.recover(AudioFile.Config(path=f"{tmp_path}/{{flow}}.flac"), report)
    assert [(event, data["detail"]) for event, data in report.events] == [
        ("repair_failed", "another program wrote it"),
        ("repair_failed", "it holds no audio"),
    ]
