import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Audio
from flowcore.testing import NodeHarness, joined, run, tone
from nodes.transforms.interleave import Interleave


def voice(track: str, start: int, frames: int, encoding: str = "s16") -> Audio:
    """Samples that tell their own position and party."""
    samples = np.arange(start, start + frames) % 200 + (1 if track == "agent" else 201)
    if encoding == "mulaw":
        return Audio((samples % 255).astype(np.uint8), "mulaw", 8000, track, start)
    return Audio(samples.astype(np.int16), "s16", 8000, track, start)


def pairs(count: int, frames: int = 800) -> list[Audio]:
    return [voice(track, frames * at, frames) for at in range(count) for track in ("agent", "customer")]


def test_equal_chunks_leave_in_pairs_at_once():
    harness = NodeHarness(Interleave)
    for at, (agent, customer) in enumerate(zip(*[iter(pairs(3))] * 2, strict=True)):
        harness.push(agent, customer)
        assert len(harness.out) == at + 1
    heard = joined(harness.end().out)
    assert (heard[:, 0] == voice("agent", 0, 2400).samples).all()
    assert (heard[:, 1] == voice("customer", 0, 2400).samples).all()
    assert not harness.filled


@st.composite
def calls(draw):
    """Two tracks cut anywhere, with holes, in any order between the tracks that stays within one second."""
    tracks = []
    for track in ("agent", "customer"):
        at, chunks = 0, []
        for length, hole in draw(st.lists(st.tuples(st.integers(1, 900), st.sampled_from([0, 0, 0, 700])), max_size=9)):
            chunks.append(voice(track, at + hole, length))
            at += hole + length
        tracks.append(chunks)
    order = sorted((chunk for track in tracks for chunk in track), key=lambda c: (c.end // 4000, c.track))
    return tracks, order


@given(calls())
def test_every_sample_keeps_its_position_on_the_clock(call):
    tracks, order = call
    harness = NodeHarness(Interleave, {"wait": "10s"}).push(*order).end()
    assert not harness.dropped
    assert all(one.end <= two.start for one, two in itertools.pairwise(harness.out))
    for channel, chunks in enumerate(tracks):
        if harness.out and chunks:
            expected = np.zeros(max(chunk.end for chunk in harness.out), int)
            for chunk in chunks:
                expected[chunk.start : chunk.end] = chunk.samples
            assert (joined(harness.out)[:, channel] == expected).all()


def test_a_missing_track_becomes_silence_after_the_wait():
    harness = NodeHarness(Interleave, {"wait": "200ms"})
    harness.push(voice("customer", 0, 800), voice("customer", 800, 800))
    assert not harness.out
    harness.push(voice("customer", 1600, 800))
    assert [(chunk.start, chunk.end) for chunk in harness.out] == [(0, 800)]
    assert (harness.out[0].samples[:, 0] == 0).all()
    harness.end()
    assert harness.filled["track_missing"] == pytest.approx(0.3)
    assert harness.out[-1].end == 2400


def test_late_audio_is_dropped_and_the_rest_of_its_chunk_is_used():
    harness = NodeHarness(Interleave, {"wait": "200ms"})
    harness.push(*(voice("agent", 800 * at, 800) for at in range(4)))  # 0 to 1600 went out without the customer
    harness.push(voice("customer", 0, 800), voice("customer", 800, 1600)).end()
    assert harness.dropped["late"] == pytest.approx(0.2)
    assert harness.dropped_chunks["late"] == 1
    heard = joined(harness.out)[:, 1]
    assert (heard[:1600] == 0).all()
    assert (heard[1600:2400] == voice("customer", 1600, 800).samples).all()


def test_a_hole_in_both_tracks_stays_a_hole():
    hour = 3600 * 8000
    harness = NodeHarness(Interleave)
    harness.push(*pairs(1), voice("agent", hour, 800), voice("customer", hour, 800)).end()
    assert [(chunk.start, chunk.end) for chunk in harness.out] == [(0, 800), (hour, hour + 800)]
    assert not harness.filled


def test_the_shorter_track_is_padded_at_the_end():
    harness = NodeHarness(Interleave).push(voice("agent", 0, 800), voice("customer", 0, 300)).end()
    heard = joined(harness.out)
    assert heard.shape == (800, 2)
    assert (heard[300:, 1] == 0).all()
    assert harness.filled["track_missing"] == pytest.approx(500 / 8000)


def test_silence_in_mulaw_is_ff():
    (heard,) = run(Interleave, {}, [voice("customer", 0, 160, "mulaw")])
    assert (heard.encoding, heard.samples.dtype) == ("mulaw", np.uint8)
    assert (heard.samples[:, 0] == 0xFF).all()


def test_other_tracks_are_dropped_and_counted():
    harness = NodeHarness(Interleave).push(*tone("100ms", track="supervisor")).end()
    assert not harness.out
    assert harness.dropped_chunks["unknown_track"] == 5
