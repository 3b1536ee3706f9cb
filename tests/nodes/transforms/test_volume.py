"""The level of audio, and its changes."""

import numpy as np
import pytest

from flowcore import Audio
from flowcore.testing import NodeHarness, tone
from nodes.transforms.volume import Volume


def level(chunks):
    return np.concatenate([chunk.samples for chunk in chunks])


def test_at_0_db_the_chunks_pass_as_they_are():
    chunks = tone("100ms")
    assert all(given is got for given, got in zip(chunks, NodeHarness(Volume).push(*chunks).end().out, strict=True))


@pytest.mark.parametrize(("db", "factor"), [("6dB", 10**0.3), ("-20dB", 0.1), ("-60dB", 0.001)])
def test_the_level_is_a_factor_and_clipped_at_full_scale(db, factor):
    chunks = tone("100ms")
    heard = level(NodeHarness(Volume, {"level": db}).push(*chunks).end().out)
    assert np.array_equal(heard, np.clip(np.rint(level(chunks) * factor), -32768, 32767))
    assert heard.max() <= 32767


def test_a_change_is_spread_over_one_chunk_of_each_party_so_that_it_does_not_click():
    ones = [Audio(np.full(160, 10000, np.int16), "s16", 8000, track, 0) for track in ("agent", "customer")]
    harness = NodeHarness(Volume).push(*ones).set(level="-20dB").push(*ones, *ones)
    for heard in (harness.out[2], harness.out[3]):
        assert (np.diff(heard.samples) <= 0).all()
        assert np.abs(np.diff(heard.samples)).max() <= 10000 / 160 + 1
        assert heard.samples[-1] == 1000
    assert all((heard.samples == 1000).all() for heard in harness.out[4:])


def test_both_channels_of_stereo_change_alike():
    stereo = Audio(np.full((160, 2), 10000, np.int16), "s16", 8000, "", 0)
    heard = NodeHarness(Volume).push(stereo).set(level="-6dB").push(stereo, stereo).out
    for chunk in heard[1:]:
        assert np.array_equal(chunk.samples[:, 0], chunk.samples[:, 1])


def test_a_field_that_is_not_live_cannot_be_set():
    with pytest.raises(TypeError, match="these fields are not live: gain"):
        NodeHarness(Volume).set(gain="1dB")
