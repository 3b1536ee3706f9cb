"""What a telephone network does to speech: distance, noise and lost packets. Samples are s16 at 8 kHz."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nodes.audio import g711

PACKET = 160  # samples: 20 ms
Condition = Callable[[Any], Any]


def quieter(decibels: float) -> Condition:
    """Return a function that makes speech quieter."""
    return lambda samples: _telephone(samples * 10 ** (-decibels / 20))


def noisy(ratio: float, seed: int = 1) -> Condition:
    """Return a function that adds white noise; speech is ``ratio`` dB louder than it, by the power of both."""

    def add(samples: Any) -> Any:
        spoken = samples[samples != 0].astype(np.float64)  # the silence between prompts does not count
        level = np.sqrt(np.mean(spoken**2)) * 10 ** (-ratio / 20)
        return _telephone(samples + np.random.default_rng(seed).normal(0, level, len(samples)))

    return add


def lossy(share: float, seed: int = 1) -> Condition:
    """Return a function that replaces a ``share`` of all packets by silence."""

    def lose(samples: Any) -> Any:
        lost = np.random.default_rng(seed).random(-(-len(samples) // PACKET)) < share
        return np.where(np.repeat(lost, PACKET)[: len(samples)], 0, samples).astype(np.int16)

    return lose


def _telephone(samples: Any) -> Any:
    return g711.decode(g711.encode(np.clip(np.rint(samples), -32768, 32767).astype(np.int16)))


CONDITIONS: dict[str, Condition] = {
    "clean": lambda samples: samples,
    "noise, 20 dB": noisy(20),
    "noise, 10 dB": noisy(10),
    "20 dB quieter": quieter(20),
    "5 % lost": lossy(0.05),
}
