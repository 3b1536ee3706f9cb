"""Logits, and the repetition of a loop."""

from math import inf, log

import pytest

from nodes.speech.confidence import logit, probability, repetition


@pytest.mark.parametrize("p", [0.001, 0.3, 0.5, 0.99])
def test_the_probability_of_a_logit_is_the_one_that_it_was_made_of(p):
    assert probability(logit(log(p))) == pytest.approx(p)


def test_a_certain_word_has_a_finite_logit():
    assert 9 < logit(0.0) < inf
    assert logit(0.0) == logit(-1e-9)


def test_a_loop_repeats_and_speech_does_not():
    assert repetition("") == 0
    assert repetition("Please enter your number, followed by the pound key.") == 0
    assert 0.5 < repetition("a little bit of " * 6) < repetition("a little bit of " * 12)
