from pathlib import Path

import numpy as np
import pytest

from flowcore import Audio
from flowcore.files import NewFile
from nodes.audio import wav
from nodes.recording.containers import CannotRepair, Wav
from tests.support.recordings import files, read, record


def test_silence_of_mulaw_is_the_code_of_zero(tmp_path):
    harness = record(tmp_path, Audio(np.array([1, 2, 3], np.uint8), "mulaw", 8000, "agent", 5))
    data = Path(files(harness)[0]).read_bytes()
    assert data == wav.header("mulaw", 8000, 1, 8) + b"\xff\xff\xff\xff\xff\1\2\3"


@pytest.mark.parametrize(("encoding", "channels", "bytes_per_frame"), [("s16", 1, 2), ("s16", 2, 4), ("mulaw", 2, 2)])
def test_room_is_counted_in_frames_behind_the_header(tmp_path, encoding, channels, bytes_per_frame):
    file = NewFile(tmp_path / "x.wav.part")
    container = Wav(file, encoding, 8000, channels)
    header = len(wav.header(encoding, 8000, channels))
    assert container.room(header + 10 * bytes_per_frame + 1) == 10
    container.write(np.zeros((4, channels), np.uint8 if encoding == "mulaw" else np.int16))
    assert container.room(header + 10 * bytes_per_frame + 1) == 6
    file.close(sync=False)


def test_a_growing_file_is_readable_and_finalize_keeps_its_samples(tmp_path):
    path = tmp_path / "x.wav.part"
    file = NewFile(path)
    container = Wav(file, "s16", 8000, 1)
    samples = np.arange(1000, dtype=np.int16)
    container.write(samples[:600])
    container.write(samples[600:])
    container.end()
    before = wav.decode(path.read_bytes())[1][:, 0]
    assert Wav.finalize(path) == 0.125
    file.close(sync=False)
    assert before.tolist() == read(path)[:, 0].tolist() == samples.tolist()


def test_a_complete_file_keeps_every_byte(tmp_path):
    path = Path(files(record(tmp_path, Audio(np.ones(80, np.int16), "s16", 8000, "agent", 0)))[0])
    before = path.read_bytes()
    assert Wav.finalize(path) == 0.01
    assert path.read_bytes() == before


def test_a_file_of_another_program_is_refused_and_kept(tmp_path):
    path = tmp_path / "x.wav.part"
    path.write_bytes(b"another program's file" * 10)
    with pytest.raises(CannotRepair, match="it is no WAV file"):
        Wav.finalize(path)
    assert path.read_bytes() == b"another program's file" * 10
