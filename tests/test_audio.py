import numpy as np
import pytest

from flowcore import Audio, Packet
from flowcore.audio import FULL_SCALE, SAMPLE_BYTES, SILENCE
from flowcore.testing import silence, tone
from nodes.audio import g711


def audio(samples, encoding="s16"):
    return Audio(samples, encoding, 8000, "agent", 100)


def test_a_packet_has_one_byte_per_sample_at_8_khz():
    assert Packet("agent", 1, bytes(160), 0.0).seconds == 0.02


@pytest.mark.parametrize(("shape", "channels"), [((80,), 1), ((80, 1), 1), ((80, 2), 2)])
def test_length_is_counted_in_frames_of_all_channels(shape, channels):
    chunk = audio(np.zeros(shape, np.int16))
    assert (chunk.frames, chunk.channels, chunk.end, chunk.seconds) == (80, channels, 180, 0.01)


def test_a_copy_shares_what_it_does_not_replace():
    chunk = audio(np.zeros(80, np.int16))
    moved = chunk.replace(start=5)
    assert (moved.start, chunk.start) == (5, 100)
    assert moved.samples is chunk.samples


def test_level_is_relative_to_full_scale():
    full = np.array([-32768, 32767] * 100, np.int16)
    assert audio(full).level_db() == pytest.approx(0.0, abs=0.001)
    assert audio((full / FULL_SCALE["s16"]).astype(np.float32), "f32").level_db() == pytest.approx(0.0, abs=0.001)
    assert tone("100ms")[0].level_db() == pytest.approx(-9.03, abs=0.01)
    codes = g711.encode(tone("100ms")[0].samples)
    assert audio(codes, "mulaw").level_db() == pytest.approx(-9.03, abs=0.05)


def test_digital_silence_and_no_samples_have_no_level():
    assert silence("20ms")[0].level_db() == float("-inf")
    assert audio(np.zeros(0, np.int16)).level_db() == float("-inf")


def test_the_tables_of_encodings_agree_with_arrays_and_g711():
    types = {"mulaw": np.uint8, "s16": np.int16, "f32": np.float32}
    assert {encoding: np.dtype(kind).itemsize for encoding, kind in types.items()} == SAMPLE_BYTES
    assert SILENCE.keys() == SAMPLE_BYTES.keys()
    assert g711.decode(np.array([SILENCE["mulaw"]], np.uint8))[0] == 0
