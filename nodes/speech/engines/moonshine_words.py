"""Words from the tokens of Moonshine base, with their times and the probability that each is right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowcore import Word
from flowcore.speech import Decoded
from nodes.speech.confidence import logit, probability, repetition
from nodes.speech.engines.moonshine_alignment import word_times

BIAS, WORD, MEAN, REPETITION = -0.84, 0.51, 1.44, -2.11
"""Weights of 1, of the logits of the word and of the mean token, and of the repetition: `nodes.speech.confidence`."""
WORD_START = "▁".encode()


class Token(NamedTuple):
    """A token, the logarithm of its probability, and its attention to each frame of the audio."""

    text: bytes
    log_probability: float
    attention: NDArray[np.float32]


def decoded(tokens: Sequence[Token], samples: NDArray[np.int16]) -> Decoded:
    """Return the words of ``tokens``, which were decoded from ``samples``, s16 at 16 kHz.

    The confidence is the mean over the words.
    """
    words = _words(tokens)
    if not words:
        return Decoded("")
    texts = [_text(tokens[number] for number in word) for word in words]
    text = " ".join(texts)
    mean = fmean(tokens[number].log_probability for word in words for number in word)
    whole = BIAS + MEAN * logit(mean) + REPETITION * repetition(text)
    sums = (sum(tokens[number].log_probability for number in word) for word in words)
    right = [probability(whole + WORD * logit(log_probability)) for log_probability in sums]
    attention = np.stack([token.attention for token in tokens])
    times = word_times(attention, [word[-1] for word in words], samples)
    timed = (Word(said, *time, share) for said, time, share in zip(texts, times, right, strict=True))
    return Decoded(text, fmean(right), tuple(timed))


def _words(tokens: Sequence[Token]) -> list[list[int]]:
    """Return the numbers of the tokens of each word; special tokens and words without text are none."""
    words: list[list[int]] = []
    for number, token in enumerate(tokens):
        if token.text.startswith(b"<") and token.text.endswith(b">"):
            continue
        if token.text.startswith(WORD_START) or not words:
            words.append([])
        words[-1].append(number)
    return [word for word in words if _text(tokens[number] for number in word)]


def _text(tokens: Iterable[Token]) -> str:
    """Return the text of one word, without white space, which would divide it."""
    text = b"".join(token.text for token in tokens).decode("utf-8", "replace")
    return "".join(text.replace("▁", " ").split())
