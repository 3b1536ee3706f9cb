import numpy as np
import pytest

from flowcore.testing import tone
from nodes.audio import g711
from nodes.sound.tap_audio import by_party, levels_db, to_int16


def head(encoding="s16", channels=1, **more):
    return {"track": "agent", "encoding": encoding, "channels": channels, **more}


def test_samples_of_every_encoding():
    wave = tone("20ms")[0].samples
    assert (to_int16(head(), wave.tobytes()) == wave).all()
    assert (to_int16(head("mulaw"), g711.encode(wave).tobytes()) == g711.decode(g711.encode(wave))).all()
    assert abs(to_int16(head("f32"), (wave / 32768).astype(np.float32).tobytes()) - wave).max() <= 1
    assert to_int16(head(channels=2), wave.tobytes()).shape == (80, 2)


def test_stereo_is_two_parties():
    parts = by_party("", np.array([[1, 2], [3, 4]], np.int16))
    assert [(party, list(samples)) for party, samples in parts] == [("agent", [1, 3]), ("customer", [2, 4])]


def test_levels():
    assert levels_db(tone("100ms")[0].samples) == (pytest.approx(-9.0, abs=0.3), pytest.approx(-6.0, abs=0.3))
    assert levels_db(np.zeros(10, np.int16)) == (float("-inf"), float("-inf"))
