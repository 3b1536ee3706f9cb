"""Words and their confidence from tokens."""

from math import log

import pytest

from nodes.speech.engines.moonshine_words import Token, decoded


def tokens(text: str, probability: float) -> list[Token]:
    """One token for each word, and one for each part of a word that a hyphen divides."""
    parts = [part for word in text.split() for part in ("▁" + word).split("-")]
    return [Token(part.encode(), log(probability)) for part in parts]


def test_tokens_without_a_mark_continue_the_word():
    assert decoded(tokens("per-son nel", 0.9)).text == "person nel"


def test_special_tokens_are_no_words():
    assert decoded([Token(b"<s>", -0.1), *tokens("yes", 0.9), Token(b"<unk>", -9.0)]) == decoded(tokens("yes", 0.9))
    assert decoded([Token(b"<s>", -0.1)]).text == ""
    assert decoded([]).confidence is None


def test_bytes_that_are_no_text_are_replaced():
    assert decoded([Token("▁caf".encode() + b"\xc3", -0.1)]).text == "caf\N{REPLACEMENT CHARACTER}"


def test_probable_tokens_make_a_confident_text():
    said = [decoded(tokens("please enter your number", probability)).confidence for probability in (1.0, 0.9, 0.6, 0.2)]
    assert said == sorted(said, reverse=True)
    assert said[0] > 0.95
    assert said[-1] < 0.2


def test_the_words_beside_an_improbable_one_count_less():
    sure = decoded(tokens("enter your number", 0.95)).confidence
    assert decoded([*tokens("enter your", 0.95), *tokens("humble", 0.05)]).confidence < sure - 0.2


@pytest.mark.parametrize("times", [8, 12])
def test_a_loop_is_unlikely_to_be_right_although_its_tokens_are_probable(times):
    assert decoded(tokens("a little bit of " * times, 0.95)).confidence < 0.5


@pytest.mark.parametrize("text", ["no no no", "one two three four five six seven", "very good very good"])
def test_what_people_repeat_is_no_loop(text):
    assert decoded(tokens(text, 0.95)).confidence > 0.8
