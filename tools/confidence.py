"""Measure how well the confidence of texts fits the share of their words that are right.

    python tools/confidence.py                     # prompts n-z, clear and with noise
    python tools/confidence.py --engine whisper --model FOLDER
    python tools/confidence.py --first a --last m --every 2

Prints, for each tenth of the confidence, the texts and words with it, the stated confidence and the true one: the share
of their words that are right, in an alignment with the words of the prompts. The expected calibration error (ECE) is
the mean distance of both, weighted by words. White, pink and babble noise take turns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.error_rate import normalised
from tools.noise import add_noise
from tools.prompts import monologue, prompts
from tools.wer import Recognition

SNRS = (None, 20.0, 10.0, 5.0, 0.0, -5.0)  # dB; None for no noise
NOISES = ("white", "pink", "babble")
BINS = 10
PAUSE = 2.0  # seconds between two prompts


@dataclass(frozen=True)
class Judged:
    """A text: the signal-to-noise ratio in dB, its confidence, its words, and how many of them are right."""

    snr: float | None
    confidence: float
    uncertain: bool
    words: int
    right: int


def judge(spoken: str, texts: Sequence[Any], snr: float | None) -> Iterable[Judged]:
    """Yield each of ``texts`` with the number of its words that are right, in an alignment of all with ``spoken``."""
    import jiwer

    heard = [normalised(text.text).split() for text in texts]
    output = jiwer.process_words([normalised(spoken)], [" ".join(word for words in heard for word in words)])
    right: set[int] = set()
    for chunk in output.alignments[0]:
        if chunk.type == "equal":
            right.update(range(chunk.hyp_start_idx, chunk.hyp_end_idx))
    first = 0
    for text, words in zip(texts, heard, strict=True):
        if words:
            count = len(right.intersection(range(first, first + len(words))))
            yield Judged(snr, text.confidence, text.uncertain, len(words), count)
        first += len(words)


def measure(engine: Mapping[str, Any], first: str, last: str, every: int = 1) -> list[Judged]:
    """Judge the texts of the prompts ``first`` to ``last`` in each noise, one noise per channel at once."""
    said = prompts(first, last)[::every]
    thirds = {noise: said[number :: len(NOISES)] for number, noise in enumerate(NOISES)}
    found: list[Judged] = []
    for snr in SNRS:
        channels = {
            noise: monologue(third, PAUSE) if snr is None else add_noise(monologue(third, PAUSE), noise, snr)
            for noise, third in thirds.items()
        }
        texts = [text for text in Recognition(engine, channels).texts if text.confidence is not None]
        for noise, third in thirds.items():
            own = [text for text in texts if text.track == noise]
            found += judge(" ".join(prompt.text for prompt in third), own, snr)
    return found


def table(judged: Sequence[Judged]) -> Iterable[str]:
    """Yield the lines of a reliability table, the calibration error, and the marked texts by noise."""
    error = 0.0
    for number in range(BINS):
        inside = [one for one in judged if min(BINS - 1, int(one.confidence * BINS)) == number]
        words = sum(one.words for one in inside)
        if words:
            stated = sum(one.confidence * one.words for one in inside) / words
            true = sum(one.right for one in inside) / words
            error += abs(stated - true) * words
            low, high = number / BINS, (number + 1) / BINS
            yield f"{low:.1f}-{high:.1f}  {len(inside):4} texts {words:5} words  stated {stated:.2f}  right {true:.2f}"
    yield f"ECE {error / max(1, sum(one.words for one in judged)):.3f}"
    for snr in SNRS:
        own = [one for one in judged if one.snr == snr]
        marked = sum(one.uncertain for one in own)
        right = sum(one.right for one in own) / max(1, sum(one.words for one in own))
        name = "clear" if snr is None else f"{snr:g} dB"
        yield f"{name:6} {right:.3f} of the words right, {marked} of {len(own)} texts marked"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure how well the confidence of texts fits their words.")
    parser.add_argument("--engine", default="moonshine", help="engine to measure (default moonshine)")
    parser.add_argument("--model", help="of the engine")
    parser.add_argument("--first", default="n", help="first letter of the prompts (default n)")
    parser.add_argument("--last", default="z", help="last letter of the prompts (default z)")
    parser.add_argument("--every", type=int, default=1, help="take each N-th prompt only")
    options = parser.parse_args(arguments)
    engine = {"use": options.engine} | ({"model": options.model} if options.model else {})
    try:
        for line in table(measure(engine, options.first, options.last, options.every)):
            print(line)
    except FileNotFoundError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
