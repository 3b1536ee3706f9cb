"""Words and their confidence from tokens."""

from math import log

import numpy as np
import pytest

from flowcore.speech import Decoded
from nodes.speech.engines.moonshine_words import ConfidenceWeights, Token, decoded

SAMPLES = np.zeros(100 * 384, np.int16)
NOWHERE = np.zeros(100, np.float32)


def tokens(text: str, probability: float) -> list[Token]:
    """One token for each word, and one for each part of a word that a hyphen divides."""
    parts = [part for word in text.split() for part in ("▁" + word).split("-")]
    return [Token(part.encode(), log(probability), NOWHERE) for part in parts]


def said(tokens: list[Token]) -> Decoded:
    return decoded(tokens, SAMPLES, ConfidenceWeights(bias=-0.84, word=0.51, mean=1.44, repetition=-2.11))


def test_tokens_without_a_mark_continue_the_word():
    assert said(tokens("per-son nel", 0.9)).text == "person nel"


def test_special_tokens_are_no_words():
    special = [Token(text, -9.0, NOWHERE) for text in (b"<s>", b"</s>")]
    heard = said([special[0], *tokens("yes", 0.9), special[1]])
    assert (heard.text, heard.confidence) == ("yes", said(tokens("yes", 0.9)).confidence)
    assert said([Token(b"<s>", -0.1, NOWHERE)]).text == ""
    assert said([]).confidence is None


def test_bytes_that_are_no_text_are_replaced():
    assert said([Token("▁caf".encode() + b"\xc3", -0.1, NOWHERE)]).text == "caf\N{REPLACEMENT CHARACTER}"


def test_probable_tokens_make_a_confident_text():
    shares = [said(tokens("please enter your number", probability)).confidence for probability in (1.0, 0.9, 0.6, 0.2)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.95
    assert shares[-1] < 0.2


def test_the_words_beside_an_improbable_one_count_less():
    sure = said(tokens("enter your number", 0.95)).confidence
    assert said([*tokens("enter your", 0.95), *tokens("humble", 0.05)]).confidence < sure - 0.2


@pytest.mark.parametrize("times", [8, 12])
def test_a_loop_is_unlikely_to_be_right_although_its_tokens_are_probable(times):
    assert said(tokens("a little bit of " * times, 0.95)).confidence < 0.5


@pytest.mark.parametrize("text", ["no no no", "one two three four five six seven", "very good very good"])
def test_what_people_repeat_is_no_loop(text):
    assert said(tokens(text, 0.95)).confidence > 0.8


def test_each_word_has_its_time_and_its_own_confidence():
    heard = said([*tokens("enter your", 0.95), *tokens("humble", 0.05)])
    assert [word.text for word in heard.words] == heard.text.split()
    assert heard.confidence == pytest.approx(sum(word.confidence for word in heard.words) / 3)
    assert heard.words[2].confidence < heard.words[1].confidence
