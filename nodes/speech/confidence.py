"""From what a model says about its words to the probability that they are right.

A model's own probabilities are too high for words that it makes up in noise, and rise in a loop. So an engine corrects
them by a logistic regression: `probability` of a weighted sum of `logit`, `repetition` and more. Its weights are fitted
to the prompts a-m, clear and with noise at 20 to -5 dB: docs/decisions/0040-texts-have-a-calibrated-confidence.md.
"""

from __future__ import annotations

import zlib
from math import exp, expm1, log

USUAL_COMPRESSION = 1.2  # bytes of a text for each byte of it when compressed; a loop has 2 to 10
MAX_LOG_PROBABILITY = -1e-4  # the logit of 1 is infinite


def logit(log_probability: float) -> float:
    """Return log(p / (1 - p)) for log(p); at most 9.2."""
    log_probability = min(log_probability, MAX_LOG_PROBABILITY)
    return log_probability - log(-expm1(log_probability))


def probability(logit: float) -> float:
    """Return the probability with this logit."""
    return 1 / (1 + exp(-logit))


def repetition(text: str) -> float:
    """Return how much better ``text`` can be compressed than usual speech; 0 without a loop."""
    data = text.encode()
    return max(0.0, len(data) / len(zlib.compress(data)) - USUAL_COMPRESSION)
