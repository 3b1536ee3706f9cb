"""The segmenter with a detector that takes loud windows for speech."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore import Audio
from nodes.speech.local.segmenter import DECODER_RATE, WINDOW_SAMPLES, Segment, Segmenter, SegmentLimits

LIMITS = SegmentLimits(threshold=0.3, pause=0.5, long_pause=1.6, enough=0, pre_roll=0.5, longest=12)
PATIENT = SegmentLimits(threshold=0.3, pause=0.2, long_pause=1.2, enough=4, pre_roll=0.5, longest=12)


class Loudness:
    """Holds loud windows for voice."""

    def __init__(self) -> None:
        self.resets = 0

    def __call__(self, window: np.ndarray) -> float:
        assert len(window) == WINDOW_SAMPLES
        return float(np.mean(np.abs(window.astype(float))) > 1000)

    def reset(self) -> None:
        self.resets += 1


def speech(seconds: float) -> np.ndarray:
    """Loud samples, no two alike in a row, so that a lost or doubled one shows."""
    return (4000 + np.arange(round(seconds * DECODER_RATE)) % 8000).astype(np.int16)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * DECODER_RATE), np.int16)


def sound(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts)


def segments(
    samples: np.ndarray, limits: SegmentLimits = LIMITS, sizes: list[int] | None = None, start: int = 0
) -> list[Segment]:
    segmenter, found, at, turn = Segmenter(Loudness(), limits), [], 0, 0
    while at < len(samples):
        size = sizes[turn % len(sizes)] if sizes else 1600
        found += segmenter.push(Audio(samples[at : at + size], "s16", DECODER_RATE, "agent", start + at))
        at, turn = at + size, turn + 1
    last = segmenter.end()
    return [*found, last] if last else found


def ends(found: list[Segment]) -> list[tuple[float, float]]:
    return [(round(s.spoken[0], 1), round(s.spoken[1], 1)) for s in found]


def test_two_utterances_are_two_segments_with_the_times_of_the_voice():
    found = segments(sound(silence(1), speech(2), silence(2), speech(1), silence(2)))
    assert ends(found) == [(1.0, 3.0), (5.0, 6.0)]


def test_a_segment_starts_with_the_pre_roll():
    (found,) = segments(sound(silence(3), speech(1), silence(2)))
    noticed = 3 + 5 * WINDOW_SAMPLES / DECODER_RATE  # a mean of 0.3 over 16 windows takes five
    assert noticed - 0.5 - 3 * WINDOW_SAMPLES / DECODER_RATE < found.start / DECODER_RATE <= noticed - 0.5


def test_a_click_is_no_speech():
    assert segments(sound(silence(1), speech(0.1), silence(1))) == []


def test_the_last_sample_is_kept_when_the_call_ends_in_mid_word():
    samples = sound(silence(1), speech(1.0001))
    (found,) = segments(samples)
    assert found.start + len(found.samples) == len(samples)
    assert np.array_equal(found.samples, samples[found.start :])


def test_a_short_utterance_waits_for_a_long_pause():
    samples = sound(silence(1), speech(1), silence(0.7), speech(1), silence(3))
    assert len(segments(samples, LIMITS)) == 2
    assert ends(segments(samples, PATIENT)) == [(1.0, 3.7)]


def test_a_long_utterance_ends_at_a_short_pause():
    samples = sound(silence(1), speech(9), silence(0.3), speech(9), silence(3))
    assert ends(segments(samples, PATIENT)) == [(1.0, 10.0), (10.3, 19.3)]


def pause_that_ends(seconds: float) -> float:
    """How much silence ends an utterance with so much speech in it."""
    segmenter, quiet = Segmenter(Loudness(), PATIENT), 0.0
    list(segmenter.push(Audio(speech(seconds), "s16", DECODER_RATE, "agent", 0)))
    while not list(
        segmenter.push(Audio(silence(0.032), "s16", DECODER_RATE, "agent", round((seconds + quiet) * DECODER_RATE)))
    ):
        quiet += 0.032
    return quiet


def test_the_pause_that_ends_an_utterance_shrinks_with_the_speech_in_it():
    needed = [pause_that_ends(seconds) for seconds in (2, 3.9, 5, 6, 7, 8, 11)]
    assert needed[0] == pytest.approx(needed[1], abs=0.04)
    assert needed[1] > needed[2] > needed[3] > needed[4] > needed[5]
    assert needed[5] == pytest.approx(needed[6], abs=0.04)
    assert 0.7 < needed[0] < 0.9  # 70 % of 1.2 s: the mean falls under the threshold
    assert 0.1 < needed[-1] < 0.2


def test_a_lone_short_answer_ends_as_soon_as_others():
    assert 0.3 < pause_that_ends(0.3) < 0.9


def test_endless_speech_is_cut_at_its_quietest_place():
    samples = sound(speech(10), speech(0.2) // 3, speech(5))
    first, second = segments(samples)
    assert 10 * DECODER_RATE <= first.start + len(first.samples) <= 10.2 * DECODER_RATE
    assert second.start == first.start + len(first.samples)
    assert np.array_equal(sound(first.samples, second.samples), samples)


def test_endless_speech_never_gets_longer_than_the_limit():
    found = segments(speech(60))
    assert max(s.seconds for s in found) <= 12
    assert np.array_equal(sound(*(s.samples for s in found)), speech(60))


def test_a_hold_ends_the_segment_and_later_times_stay_right():
    voice = Loudness()
    segmenter = Segmenter(voice, LIMITS)
    found = list(segmenter.push(Audio(speech(2), "s16", DECODER_RATE, "agent", 0)))
    found += segmenter.push(Audio(sound(speech(1), silence(1)), "s16", DECODER_RATE, "agent", 60 * DECODER_RATE))
    assert ends(found) == [(0.0, 2.0), (60.0, 61.0)]
    assert voice.resets >= 1
    assert found[1].start == 60 * DECODER_RATE


def test_a_lost_packet_is_silence_within_the_word():
    segmenter = Segmenter(Loudness(), LIMITS)
    list(segmenter.push(Audio(speech(1), "s16", DECODER_RATE, "agent", 0)))
    list(segmenter.push(Audio(speech(1), "s16", DECODER_RATE, "agent", DECODER_RATE + 320)))
    found = segmenter.end()
    assert found is not None
    assert np.array_equal(found.samples, sound(speech(1), np.zeros(320, np.int16), speech(1)))


def test_a_call_need_not_start_at_zero():
    (found,) = segments(sound(speech(1), silence(1)), start=5 * DECODER_RATE)
    assert ends([found]) == [(5.0, 6.0)]


def test_so_far_grows_while_somebody_speaks():
    segmenter = Segmenter(Loudness(), LIMITS)
    assert not segmenter.speaking
    list(segmenter.push(Audio(speech(1), "s16", DECODER_RATE, "agent", 0)))
    assert segmenter.speaking
    assert segmenter.so_far().seconds == pytest.approx(1, abs=WINDOW_SAMPLES / DECODER_RATE)
    assert segmenter.voiced_to == segmenter.reaches == segmenter.so_far().end
    list(segmenter.push(Audio(silence(0.2), "s16", DECODER_RATE, "agent", DECODER_RATE)))
    assert segmenter.reaches - segmenter.voiced_to == pytest.approx(0.2 * DECODER_RATE, abs=2 * WINDOW_SAMPLES)
    list(segmenter.push(Audio(silence(1), "s16", DECODER_RATE, "agent", round(1.2 * DECODER_RATE))))
    assert not segmenter.speaking


def test_after_an_end_by_silence_of_the_line_no_sample_comes_twice():
    samples = sound(silence(1), speech(1.01), speech(2), silence(2))
    segmenter = Segmenter(Loudness(), LIMITS)
    cut = round(2.01 * DECODER_RATE)
    found = list(segmenter.push(Audio(samples[:cut], "s16", DECODER_RATE, "agent", 0)))
    found.append(segmenter.end())
    found += segmenter.push(Audio(samples[cut:], "s16", DECODER_RATE, "agent", cut))
    assert found[0].end == cut == found[1].start
    assert np.array_equal(found[1].samples, samples[cut : found[1].end])


PATTERN = st.lists(st.tuples(st.floats(0.4, 13), st.floats(0.05, 4)), min_size=1, max_size=3)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(PATTERN, st.sampled_from([LIMITS, PATIENT]), st.lists(st.integers(1, 5000), min_size=1, max_size=5))
def test_every_spoken_sample_is_in_one_segment_however_the_audio_is_cut(pattern, limits, sizes):
    samples = sound(*(part for loud, quiet in pattern for part in (silence(quiet), speech(loud))))
    found = segments(samples, limits, sizes)
    heard = np.zeros(len(samples), int)
    for segment in found:
        at = slice(segment.start, segment.start + len(segment.samples))
        assert np.array_equal(segment.samples, samples[at])
        heard[at] += 1
    assert heard.max() <= 1
    # A window that is half loud may count as silence.
    spoken = np.convolve(samples > 0, np.ones(2 * WINDOW_SAMPLES), "same") >= 2 * WINDOW_SAMPLES
    assert heard[spoken].all()
    whole = segments(samples, limits)
    assert [(s.start, len(s.samples)) for s in found] == [(s.start, len(s.samples)) for s in whole]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(PATTERN, st.lists(st.sampled_from([LIMITS, PATIENT]), min_size=2, max_size=6))
def test_every_spoken_sample_is_in_one_segment_however_the_limits_change(pattern, limits):
    samples = sound(*(part for loud, quiet in pattern for part in (silence(quiet), speech(loud))))
    segmenter, found, step = Segmenter(Loudness(), limits[0]), [], len(samples) // len(limits) + 1
    for number, others in enumerate(limits):
        segmenter.change(others)
        at = number * step
        found += segmenter.push(Audio(samples[at : at + step], "s16", DECODER_RATE, "agent", at))
    last = segmenter.end()
    heard = np.zeros(len(samples), int)
    for segment in (*found, *([last] if last else [])):
        at = slice(segment.start, segment.start + len(segment.samples))
        assert np.array_equal(segment.samples, samples[at])
        heard[at] += 1
    assert heard.max() <= 1
    spoken = np.convolve(samples > 0, np.ones(2 * WINDOW_SAMPLES), "same") >= 2 * WINDOW_SAMPLES
    assert heard[spoken].all()


def test_a_shorter_pause_and_pre_roll_hold_at_once():
    segmenter = Segmenter(Loudness(), PATIENT)
    assert not list(segmenter.push(Audio(silence(2), "s16", DECODER_RATE, "agent", 0)))
    segmenter.change(replace(PATIENT, pre_roll=0.064, long_pause=0.2))
    audio = sound(speech(1), silence(0.7))
    (segment,) = segmenter.push(Audio(audio, "s16", DECODER_RATE, "agent", 2 * DECODER_RATE))
    assert segment.start >= 2 * DECODER_RATE  # with the other limits: 0.5 s before the voice was noticed
