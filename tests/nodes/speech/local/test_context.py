"""The context of short utterances."""

import numpy as np

from flowcore import Word
from flowcore.speech import Decoded
from nodes.speech.local.context import MAX_CONTEXT_SECONDS, MAX_PAUSE_SECONDS, MAX_TOTAL_SECONDS, Context
from nodes.speech.local.segmenter import DECODER_RATE, Segment


def segment(start: float, seconds: float) -> Segment:
    samples = np.full(round(seconds * DECODER_RATE), round(start), np.int16)
    first = round(start * DECODER_RATE)
    return Segment(samples, first, first + len(samples), ())


def test_it_grows_with_what_is_said_until_it_is_long_enough():
    first = Context.after(None, segment(1, 4), "One.")
    assert first is not None
    both = Context.after(first, segment(6, 4), "Two.")
    assert both is not None
    assert (both.text, len(both.samples), both.end) == ("One. Two.", 8 * DECODER_RATE, 10 * DECODER_RATE)
    assert set(both.samples.tolist()) == {1, 6}
    last = Context.after(both, segment(11, 4), "Three.")
    assert last is not None
    assert (last.text, len(last.samples)) == ("Three.", 4 * DECODER_RATE)


def test_what_is_long_or_without_words_is_of_no_help():
    assert Context.after(None, segment(1, MAX_CONTEXT_SECONDS + 1), "A long speech.") is None
    assert Context.after(None, segment(1, 1), "") is None


def test_it_leads_only_to_what_follows_shortly_and_is_not_too_long():
    before = Context.after(None, segment(0, 2), "Yes.")
    assert before is not None
    assert before.leads_to(segment(2 + MAX_PAUSE_SECONDS, 1))
    assert not before.leads_to(segment(2.1 + MAX_PAUSE_SECONDS, 1))
    assert not before.leads_to(segment(2, MAX_TOTAL_SECONDS))


def test_the_words_after_it_have_their_own_times_and_confidence():
    before = Context.after(None, segment(0, 2), "Fail again.")
    assert before is not None
    words = (
        Word("fail", 0.1, 0.6, 0.9),
        Word("again,", 0.6, 1.2, 0.8),
        Word("fail", 2.5, 3, 0.5),
        Word("better.", 3, 4, 0.7),
    )
    both = Decoded("fail again, fail better.", 0.725, words, "en")
    after = before.words_after(both)
    assert after == Decoded("Fail better.", 0.6, (Word("Fail", 0.5, 1, 0.5), Word("better.", 1, 2, 0.7)), "en")


def test_without_words_the_confidence_is_that_of_the_whole():
    before = Context.after(None, segment(0, 2), "Fail again.")
    assert before is not None
    assert before.words_after(Decoded("Fail again, fail better.", 0.7)) == Decoded("Fail better.", 0.7)


def test_other_words_or_no_more_are_none():
    before = Context.after(None, segment(0, 2), "Fail again.")
    assert before is not None
    assert before.words_after(Decoded("Try again. Fail better.", 0.7)) is None
    assert before.words_after(Decoded("Fail again.", 0.7)) is None
