"""Words in the overlap of two streams count once."""

from __future__ import annotations

import pytest

from flowcore import Word
from flowcore.speech import Result
from nodes.speech.cloud.rollover_stream import RolloverStream, WordAttribution

RATE = 8000


def stream(begin: float, cut: float | None = None) -> RolloverStream:
    made = RolloverStream(round(begin * RATE), 0.0)
    made.cut = None if cut is None else round(cut * RATE)
    return made


def result(*words: tuple[str, float, float], final: bool = True) -> Result:
    """A result of these words, with times from the stream's first sample."""
    return Result(
        " ".join(text for text, _, _ in words), final, end=words[-1][2], words=tuple(Word(*word) for word in words)
    )


def test_a_word_counts_for_the_side_of_the_cut_that_its_middle_lies_on():
    attribution = WordAttribution(RATE)
    old, new = stream(0.0, cut=10.0), stream(9.0)
    own = attribution.own_words(old, result(("in", 9.0, 9.4), ("across", 9.7, 10.2), ("beyond", 10.3, 10.6)), 9.0)
    assert (own.text, own.start, own.end) == ("in across", 9.0, 10.2)
    attribution.accept(old, own)
    own = attribution.own_words(new, result(("across", 0.7, 1.2), ("beyond", 1.3, 1.6)), 10.0)
    assert (own.text, own.words) == ("beyond", (Word("beyond", 10.3, 10.6),))


@pytest.mark.parametrize(("shift", "kept"), [(0.1, "next"), (0.2, "Same. next")])
def test_a_word_that_comes_a_little_later_in_the_new_stream_is_no_second_word(shift, kept):
    attribution = WordAttribution(RATE)
    old, new = stream(0.0, cut=10.0), stream(9.0)
    attribution.accept(old, attribution.own_words(old, result(("same", 9.8, 9.9)), 9.0))
    later = result(("Same.", 0.8 + shift, 1.1 + shift), ("next", 1.5, 1.9))
    assert attribution.own_words(new, later, 9.9).text == kept


def test_a_word_said_twice_in_one_stream_counts_twice():
    attribution = WordAttribution(RATE)
    only = stream(0.0)
    attribution.accept(only, attribution.own_words(only, result(("no", 1.0, 1.1)), 0.0))
    assert attribution.own_words(only, result(("no", 1.1, 1.3)), 1.1).text == "no"


def test_words_without_times_are_spread_over_the_result():
    attribution = WordAttribution(RATE)
    own = attribution.own_words(stream(0.0, cut=3.0), Result("one two three four", True, end=4.0, start=0.0), 0.0)
    assert (own.text, own.start, own.end, own.words) == ("one two three", 0.0, 3.0, ())
    assert own.last == Word("three", 2.0, 3.0)


def test_a_result_without_an_own_word_has_no_text():
    attribution = WordAttribution(RATE)
    late = attribution.own_words(stream(0.0, cut=1.0), result(("late", 1.5, 1.9)), 0.0)
    assert (late.text, late.words, late.last) == ("", (), None)
    assert attribution.own_words(stream(0.0), Result("", True, end=2.0), 0.0).text == ""
