"""Words from the tokens of Moonshine, with their times and the probability that each is right."""

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

WORD_START = "▁".encode()


class Token(NamedTuple):
    """A token, the logarithm of its probability, and its attention to each frame of the audio."""

    text: bytes
    log_probability: float
    attention: NDArray[np.float32]


class ConfidenceWeights(NamedTuple):
    """Weights of 1, of the logits of the word and of the mean token, and of the repetition.

    See `nodes.speech.confidence`.
    """

    bias: float
    word: float
    mean: float
    repetition: float


def decoded(tokens: Sequence[Token], samples: NDArray[np.int16], weights: ConfidenceWeights) -> Decoded:
    """Return the words of ``tokens``, which were decoded from ``samples``, s16 at 16 kHz.

    The confidence is the mean over the words.
    """
    pieces = [token.text for token in tokens]
    words = _words(pieces)
    if not words:
        return Decoded("")
    texts = [_word(pieces, word) for word in words]
    said = " ".join(texts)
    mean = fmean(tokens[number].log_probability for word in words for number in word)
    whole = weights.bias + weights.mean * logit(mean) + weights.repetition * repetition(said)
    sums = (sum(tokens[number].log_probability for number in word) for word in words)
    right = [probability(whole + weights.word * logit(log_probability)) for log_probability in sums]
    attention = np.stack([token.attention for token in tokens])
    times = word_times(attention, [word[-1] for word in words], samples)
    timed = (Word(word, *time, share) for word, time, share in zip(texts, times, right, strict=True))
    return Decoded(said, fmean(right), tuple(timed))


def text(tokens: Sequence[bytes]) -> str:
    """Return the words of ``tokens`` as one text."""
    return " ".join(_word(tokens, numbers) for numbers in _words(tokens))


def _words(tokens: Sequence[bytes]) -> list[list[int]]:
    """Return the numbers of the tokens of each word; special tokens and words without text are none."""
    words: list[list[int]] = []
    for number, token in enumerate(tokens):
        if token.startswith(b"<") and token.endswith(b">"):
            continue
        if token.startswith(WORD_START) or not words:
            words.append([])
        words[-1].append(number)
    return [word for word in words if _word(tokens, word)]


def _word(tokens: Sequence[bytes], numbers: Iterable[int]) -> str:
    """Return the text of one word, without white space, which would divide it."""
    written = b"".join(tokens[number] for number in numbers).decode("utf-8", "replace")
    return "".join(written.replace("▁", " ").split())
