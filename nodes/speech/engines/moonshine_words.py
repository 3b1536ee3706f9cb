"""Words from the tokens of Moonshine base, and the probability that each is right."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from flowcore.speech import Decoded
from nodes.speech.confidence import logit, probability, repetition

BIAS, WORD, MEAN, REPETITION = -0.84, 0.51, 1.44, -2.11
"""Weights of 1, of the logits of the word and of the mean token, and of the repetition: `nodes.speech.confidence`."""
WORD_START = "▁".encode()


class Token(NamedTuple):
    """A token, and the logarithm of its probability."""

    text: bytes
    log_probability: float


def decoded(tokens: Sequence[Token]) -> Decoded:
    """Return the text of ``tokens`` and its confidence, the mean over its words."""
    tokens = [token for token in tokens if not (token.text.startswith(b"<") and token.text.endswith(b">"))]
    words = _words(tokens)
    text = " ".join(_text(word) for word in words)
    if not text:
        return Decoded("")
    whole = BIAS + MEAN * logit(_sum(tokens) / len(tokens)) + REPETITION * repetition(text)
    right = (probability(whole + WORD * logit(_sum(word))) for word in words)
    return Decoded(text, fmean(right))


def _words(tokens: Sequence[Token]) -> list[list[Token]]:
    """Return the tokens of each word; a word without text is none."""
    words: list[list[Token]] = []
    for token in tokens:
        if token.text.startswith(WORD_START) or not words:
            words.append([])
        words[-1].append(token)
    return [word for word in words if _text(word)]


def _text(word: Sequence[Token]) -> str:
    return b"".join(token.text for token in word).decode("utf-8", "replace").replace("▁", " ").strip()


def _sum(word: Sequence[Token]) -> float:
    return sum(token.log_probability for token in word)
