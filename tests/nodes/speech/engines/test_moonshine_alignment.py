"""Times of words from attention, and from pauses."""

import numpy as np
import pytest

from nodes.speech.engines.moonshine_alignment import FRAME_SAMPLES, word_times

FRAME = FRAME_SAMPLES / 16000  # seconds


def looking_at(*spans: tuple[int, int], frames: int = 50) -> np.ndarray:
    """The attention of tokens that look at these frames, the last one excluded."""
    attention = np.zeros((len(spans), frames), np.float32)
    for token, (first, after) in enumerate(spans):
        attention[token, first:after] = 1
    return attention


def sound(*quiet: tuple[int, int], frames: int = 50) -> np.ndarray:
    samples = np.full((frames, FRAME_SAMPLES), 5000, np.int16)
    for first, after in quiet:
        samples[first:after] = 10
    return samples.ravel()


def frames(times: list[tuple[float, float]]) -> list[tuple[int, int]]:
    return [(round(start / FRAME), round(end / FRAME)) for start, end in times]


def test_words_meet_where_the_attention_moves_on():
    attention = looking_at((0, 10), (10, 20), (20, 35), (35, 50))
    assert frames(word_times(attention, [1, 2], sound())) == [(0, 20), (20, 35)]


def test_a_pause_is_part_of_no_word():
    attention = looking_at((0, 18), (18, 40), (40, 50))  # the attention to a pause says nothing
    times = word_times(attention, [0, 1], sound((0, 5), (15, 25), (38, 50)))
    assert frames(times) == [(5, 15), (25, 38)]


def test_the_closure_of_a_consonant_is_no_pause():
    attention = looking_at((0, 20), (20, 50))
    assert frames(word_times(attention, [0, 1], sound((16, 19)))) == [(0, 20), (20, 50)]


def test_a_pause_far_from_a_boundary_stays_in_its_word():
    attention = looking_at((0, 40), (40, 80), frames=80)
    assert frames(word_times(attention, [0, 1], sound((16, 22), frames=80))) == [(0, 40), (40, 80)]


@pytest.mark.parametrize("seed", range(20))
def test_times_never_go_back_or_beyond_the_audio(seed):
    random = np.random.default_rng(seed)
    attention = random.random((30, 60)).astype(np.float32)
    samples = random.normal(0, random.choice([0, 5000], 59).repeat(FRAME_SAMPLES)).astype(np.int16)
    bounds = np.ravel(word_times(attention, [*range(0, 30, 2)], samples))
    assert bounds.tolist() == sorted(bounds)
    assert 0 <= bounds[0] <= bounds[-1] <= len(samples) / 16000


def test_silence_and_nothing_have_times_too():
    attention = looking_at((0, 1), (1, 2), frames=10)
    assert word_times(attention, [0], np.zeros(0, np.int16)) == [(0, 0)]
    assert frames(word_times(attention, [0, 1], np.zeros(3840, np.int16))) == [(0, 1), (1, 10)]
