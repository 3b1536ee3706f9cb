import itertools

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore import Audio
from flowcore.testing import NodeHarness, joined, run, tone
from nodes.audio import rates
from nodes.transforms.resample import Resample


def noise(frames: int, channels: int = 1) -> np.ndarray:
    shape = (frames,) if channels == 1 else (frames, channels)
    return np.random.default_rng(1).normal(0, 3000, shape).astype(np.int16)


def cut(samples: np.ndarray, sizes: list[int], rate: int = 8000, track: str = "agent", start: int = 0) -> list[Audio]:
    chunks, at = [], 0
    while at < len(samples):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(Audio(samples[at : at + size], "s16", rate, track, start + at))
        at += size
    return chunks


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["auto", "HQ"]),
    st.sampled_from([(8000, 16000), (16000, 8000), (44100, 16000), (8000, 48000), (22050, 8000)]),
    st.integers(0, 5000),
    st.lists(st.integers(1, 900), min_size=1, max_size=8),
    st.integers(0, 10**9),
)
def test_chunk_lengths_do_not_change_the_output(quality, pair, frames, sizes, start):
    rate, to = pair
    heard = run(Resample, {"rate": to, "quality": quality}, cut(noise(frames), sizes, rate, start=start))
    first = heard[0].start if heard else 0
    assert all(one.end == two.start for one, two in itertools.pairwise(heard))
    if quality == "auto" and to == 2 * rate:
        doubler = rates.Doubler(noise(0))
        whole = np.concatenate([doubler.feed(noise(frames)), doubler.finish()])
    else:
        whole = np.rint(soxr.resample(noise(frames).astype(np.float32), rate, to, quality="HQ"))
    got = np.concatenate([chunk.samples for chunk in heard]) if heard else whole[:0]
    assert abs(len(got) - frames * to / rate) <= 1
    if heard:
        assert abs(first - start * to / rate) <= 0.5
        assert abs(heard[-1].end - (start + frames) * to / rate) <= 0.5
    common = min(len(got), len(whole))
    assert (got[:common] == whole[:common]).all()


def test_a_tone_stays_the_same_tone():
    heard = joined(run(Resample, {"rate": "16kHz"}, tone("1s", hertz=1000)))
    spectrum = abs(np.fft.rfft(heard[1600:-1600] / 16384 * np.hanning(len(heard) - 3200)))
    assert np.argmax(spectrum) * 16000 / (len(heard) - 3200) == pytest.approx(1000, abs=1)
    assert np.sqrt(np.mean((heard[1600:-1600] / 16384) ** 2)) == pytest.approx(np.sqrt(0.5), rel=0.001)


def test_the_same_rate_passes_unchanged():
    chunks = tone("100ms", rate=16000)
    assert all(one is two for one, two in zip(run(Resample, {"rate": 16000}, chunks), chunks, strict=True))


def test_tracks_do_not_mix():
    agent, customer = cut(noise(4000), [160]), cut(np.zeros(4000, np.int16), [160], track="customer")
    together = [chunk for pair in zip(agent, customer, strict=True) for chunk in pair]
    heard = run(Resample, {}, together)
    assert (joined(heard, "agent") == joined(run(Resample, {}, agent))).all()
    assert abs(joined(heard, "customer")).max() == 0


def test_stereo_channels_do_not_mix():
    frames = noise(4000, 2)
    frames[:, 1] = 0
    heard = joined(run(Resample, {}, [Audio(frames, "s16", 8000, "", 0)]))
    assert heard.shape == (8000, 2)
    assert abs(heard[:, 1]).max() == 0
    assert abs(heard[:, 0]).max() > 1000


@pytest.mark.parametrize("quality", ["auto", "HQ"])
def test_a_hole_ends_one_stream_and_begins_another_at_its_position(quality):
    before, after = cut(noise(1000), [160]), cut(noise(1000), [160], start=9000)
    harness = NodeHarness(Resample, {"quality": quality}).push(*before)
    assert sum(chunk.frames for chunk in harness.out) < 2000
    harness.push(after[0])
    assert sum(chunk.frames for chunk in harness.out if chunk.start < 18000) == 2000  # the hole pushed the rest out
    heard = harness.push(*after[1:]).end().out
    assert next(chunk.start for chunk in heard if chunk.start >= 2000) == 18000
    assert heard[-1].end == 20000
    alone = np.concatenate([chunk.samples for chunk in run(Resample, {"quality": quality}, cut(noise(1000), [160]))])
    assert (joined(heard)[18000:] == alone).all()


def test_positions_stay_exact_over_three_thousand_holes():
    chunks = [Audio(noise(441), "s16", 44100, "agent", 1000 * number) for number in range(3000)]
    harness = NodeHarness(Resample, {"rate": 8000}).push(*chunks).end()
    covered = np.zeros(harness.out[-1].end, bool)
    for chunk in harness.out:
        covered[chunk.start : chunk.end] = True
    edges = np.flatnonzero(np.diff(covered)) + 1
    exact = [edge for chunk in chunks for edge in (chunk.start * 8000 / 44100, chunk.end * 8000 / 44100)][1:-1]
    assert abs(edges - np.array(exact)).max() <= 0.5


def test_loud_peaks_are_clipped_and_do_not_wrap():
    square = np.tile(np.repeat(np.array([32767, -32768], np.int16), 40), 50)
    heard = joined(run(Resample, {}, cut(square, [160])))
    assert (np.sign(heard[10:70]) >= 0).all()
    assert heard.max() == 32767
    assert heard.min() == -32768
