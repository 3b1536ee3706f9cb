import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from flowcore import Audio, CannotStart
from flowcore.testing import NodeHarness, joined, tone
from nodes.audio import flac
from nodes.sinks.audio_file import AudioFile
from tests.support.recordings import EventReport, about, files, record_encoded

KINDS = ("flac", "opus")
PACKET = 160  # samples of 20 ms
NOISE = np.random.default_rng(1).integers(-20000, 20000, 300 * PACKET).astype(np.int16)


def test_flac_is_lossless_and_knows_its_length(tmp_path):
    chunks = tone("1370ms")
    (path,) = files(record_encoded(tmp_path, "flac", *chunks))
    assert soundfile.info(path).frames == 1.37 * 8000
    assert (soundfile.read(path, dtype="int16")[0] == joined(chunks)).all()
    heard = subprocess.run(["sox", path, "-t", "raw", "-"], capture_output=True, check=True)
    assert heard.stdout == joined(chunks).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_both_parties_keep_their_channels_and_level(tmp_path, kind):
    left, right = joined(tone("2s", hertz=400)), np.zeros(16000, np.int16)
    (path,) = files(record_encoded(tmp_path, kind, Audio(np.stack([left, right], 1), "s16", 8000, "", 0)))
    found = soundfile.read(path)[0]
    assert found.shape == (16000, 2)
    loud = np.sqrt((found**2).mean(axis=0))
    assert loud[0] == pytest.approx(0.5 / 2**0.5, rel=0.05)
    assert loud[1] < 0.01


def flac_lengths(path):
    """Return the length of a recording as STREAMINFO, its metadata and libsndfile give it, in samples."""
    head = Path(path).read_bytes()[: flac.STREAMINFO_END]
    fields = int.from_bytes(head[flac.STREAMINFO_START + 10 :][:8], "big")
    samples = soundfile.read(path, dtype="int16")[0]
    return fields & flac.SAMPLES_MASK, round(about(path)["seconds"] * 8000), len(samples)


@pytest.mark.fault(54)
@pytest.mark.parametrize("packets", [232, 32, 40, 64, 78, 80, 84, 106])  # last blocks with a code of their own
def test_flac_knows_its_length_when_its_last_block_has_a_common_size(tmp_path, packets):
    samples = NOISE[: packets * PACKET]
    (path,) = files(record_encoded(tmp_path, "flac", Audio(samples, "s16", 8000, "agent", 0)))
    assert flac_lengths(path) == (len(samples),) * 3
    assert (soundfile.read(path, dtype="int16")[0] == samples).all()


@pytest.mark.fault(54)
@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2])
def test_flac_of_1_to_300_packets_says_and_has_their_length(tmp_path, channels):
    both = np.stack([NOISE, NOISE[::-1]], 1)
    for packets in range(1, 301):
        samples = both[: packets * PACKET, :channels].squeeze()
        track = "agent" if channels == 1 else ""
        harness = record_encoded(tmp_path / str(packets), "flac", Audio(samples, "s16", 8000, track, 0))
        (path,) = files(harness)
        assert flac_lengths(path) == (len(samples),) * 3
        assert (soundfile.read(path, dtype="int16")[0] == samples).all()
        assert not harness.dropped


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2])
def test_opus_of_up_to_300_packets_says_and_has_their_length(tmp_path, channels):
    both = np.stack([NOISE, NOISE[::-1]], 1)
    for packets in range(1, 301, 7):
        samples = both[: packets * PACKET, :channels].squeeze()
        track = "agent" if channels == 1 else ""
        harness = record_encoded(tmp_path / str(packets), "opus", Audio(samples, "s16", 8000, track, 0))
        (path,) = files(harness)
        assert len(soundfile.read(path)[0]) == round(about(path)["seconds"] * 8000) == len(samples)
        assert not harness.dropped


@pytest.mark.parametrize("level", [3, 3000])
def test_flac_that_ends_in_half_a_second_of_silence_is_whole(tmp_path, level):
    samples = (np.random.default_rng(1).normal(size=354_993) * level).astype(np.int16)
    samples[-4000:] = 0
    harness = record_encoded(tmp_path, "flac", Audio(samples, "s16", 8000, "agent", 0))
    (path,) = files(harness)
    assert flac_lengths(path) == (354_993,) * 3
    assert not harness.dropped


@pytest.mark.parametrize("kind", KINDS)
def test_hole_is_silence_of_its_length(tmp_path, kind):
    (path,) = files(record_encoded(tmp_path, kind, *tone("500ms"), *tone("500ms", start=80_000)))
    found = soundfile.read(path)[0]
    assert len(found) == 84_000
    assert not np.round(found[8000:76_000], 3).any()


@pytest.mark.parametrize("kind", KINDS)
def test_size_begins_the_next_file(tmp_path, kind):
    noise = np.random.default_rng(1).integers(-20000, 20000, (400, 400)).astype(np.int16)
    chunks = [Audio(block, "s16", 8000, "agent", 400 * number) for number, block in enumerate(noise)]
    paths = files(record_encoded(tmp_path, kind, *chunks, max="16KiB"))
    assert len(paths) > 1
    assert sum(soundfile.info(path).frames for path in paths) == 160_000


def test_call_without_sound_leaves_no_file(tmp_path):
    assert files(record_encoded(tmp_path, "flac")) == []
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.fault(36)
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "lost"), [("flac", 0.6), ("ogg", 1.1), ("opus", 1.1)])
def test_killed_writer_loses_no_more_than_its_encoder_holds(tmp_path, kind, lost):
    wanted = f"{tmp_path}/x.{kind}"
    assert subprocess.run([sys.executable, "-c", WRITER, wanted], check=False).returncode == -9
    report = EventReport()
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


def test_the_ending_of_the_path_selects_the_format():
    with pytest.raises(ValidationError, match=r"end it in \.flac, \.ogg, \.opus; wav_file writes \.wav"):
        AudioFile.Config(path="x.wav")
    assert not AudioFile.accepts(AudioFile.Config(path="x.flac"))[0].rates
    assert 11025 not in AudioFile.accepts(AudioFile.Config(path="x.opus"))[0].rates


def test_an_unwritable_path_names_field_and_fix(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"^path: cannot write to"):
        NodeHarness(AudioFile, {"path": f"{tmp_path}/file/x.flac"})
