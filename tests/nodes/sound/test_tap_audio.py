import numpy as np
import pytest

from flowcore.testing import tone
from nodes.audio import g711
from nodes.sound.tap_audio import StereoJoiner, by_party, levels_db, to_int16


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


def ones(track, value, at, frames=100):
    return track, at, np.full(frames, value, np.int16)


def test_parties_are_joined_by_their_positions():
    joiner = StereoJoiner(100)
    out = [joiner.add(*ones("agent", 1, 500)), joiner.add(*ones("customer", 2, 500))]
    assert [len(frames) for frames in out] == [0, 100]
    assert (out[1] == [1, 2]).all()


def test_a_missing_party_is_silent_after_a_second():
    joiner = StereoJoiner(100)
    out = np.concatenate([joiner.add(*ones("agent", 1, at)) for at in range(0, 500, 100)])
    assert (out == [1, 0]).all()
    assert len(out) == 400
    assert len(joiner.add(*ones("customer", 2, 0))) == 0  # these frames are out already
    assert (joiner.flush() == [1, 0]).all()


def test_a_hole_of_both_parties_is_silence_of_its_length():
    joiner = StereoJoiner(100)
    whole = np.concatenate([joiner.add(*ones(track, 1, at)) for at in (0, 300) for track in ("agent", "customer")])
    assert whole[:, 0].tolist() == [1] * 100 + [0] * 200 + [1] * 100
