"""Words of interim texts: when they are shown, and how many stay."""

import pytest

from flowcore import Text, Word
from tools.interim_words import delays, kept

SAID = (Word("Press", 1.0, 1.5), Word("one", 1.5, 2.0), Word("now.", 2.0, 2.5))


def text(words: str, end: float, lag: float, *, final: bool = False, utterance: int = 0) -> Text:
    return Text("agent", 1.0, end, words, final, utterance, words=SAID if final else (), lag=lag)


TEXTS = [text("press", 1.5, 0.1), text("Press on", 2.0, 0.1), text("Press one now.", 2.5, 0.5, final=True)]


def test_each_word_counts_from_its_end_to_the_first_text_with_it():
    assert delays(TEXTS) == pytest.approx([1.6 - 1.5, 3.0 - 2.5, 3.0 - 2.0])


def test_words_that_change_are_not_kept():
    assert kept(TEXTS) == pytest.approx(2 / 3)


def test_interim_texts_without_words_at_last_do_not_count():
    taken_back = [text("You", 1.5, 0.1, utterance=1), text("", 2.0, 0.1, final=True, utterance=1)]
    assert kept([*TEXTS, *taken_back]) == pytest.approx(2 / 3)
    assert delays(taken_back) == []
