"""The way of one party's voice into the channel of the other: a delay and an impulse response."""

from __future__ import annotations

from collections import deque
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nodes.echo import least_squares
from nodes.echo.adaptive_filter import QUANTIZATION, AdaptiveFilter
from nodes.echo.history import TrackHistory

PARTITIONS = 3
"""Length of the impulse response that is followed, in blocks."""

LEAD = 0.2
"""How far the impulse response begins before the estimated delay, in blocks: its peak may come later than its start."""

FITTED = 1.5
"""Length of the impulse response that a fit finds, in blocks; few unknowns need little audio."""

RIDGE = 1e-4
"""Ridge of the least squares, as a share of the source's energy: speech has little at high frequencies."""

HELD_OUT = 5
"""Blocks at the end of the signal that a fit does not see, and on which it is tested."""

WELL_FITTED = 0.25
"""Share of the power that a fit may leave: more is another voice, and the fit is of no use."""


class EchoPath:
    """Predicts the echo of each block, and learns from it."""

    def __init__(self, delay: int, response: NDArray[Any], left: float, gain: float, block: int) -> None:
        self.delay = delay
        """In samples."""
        self.left = left
        """Share of the power that the fit leaves of its signal."""
        self.gain = gain
        """Power of the echo as a share of the power of its source."""
        self._block = block
        self._filter = AdaptiveFilter(response, gain * left, block)
        self._powers: deque[tuple[float, float]] = deque(maxlen=HELD_OUT)

    @classmethod
    def fit(cls, near: NDArray[Any], far: TrackHistory, end: int, delay: int, block: int) -> Self:
        """Fit the path of ``delay`` samples from ``far`` to the signal ``near``, which ends at position ``end``."""
        taps, tested = round(FITTED * block), HELD_OUT * block
        end -= _shift(delay, block)
        source = far.read(end - len(near) - taps + 1, end)
        energy = float(source @ source)
        gain = float(near @ near) / max(energy, 1.0)
        ridge = QUANTIZATION * len(near) / max(gain, 1e-9) + RIDGE * energy
        found = least_squares.fit(source[:-tested], near[:-tested], taps, ridge)
        rest = near[-tested:] - np.convolve(source[-tested - taps + 1 :], found, "valid")
        left = min(1.0, (_power(rest) + QUANTIZATION) / (_power(near[-tested:]) + QUANTIZATION))
        response = np.zeros(PARTITIONS * block)
        if left >= WELL_FITTED:
            return cls(delay, response, 1.0, gain, block)
        response[:taps] = found
        return cls(delay, response, left, gain, block)

    @property
    def before(self) -> float:
        """Mean square of the latest blocks with their echo."""
        return sum(before for before, _ in self._powers) / max(1, len(self._powers))

    @property
    def after(self) -> float:
        """Mean square of the latest blocks without the predicted echo."""
        return sum(after for _, after in self._powers) / max(1, len(self._powers))

    def predict(self, near: NDArray[Any], far: TrackHistory, end: int) -> tuple[NDArray[Any], float]:
        """Return the echo of ``far`` in the block ``near``, which ends at position ``end``, and its likely mean square.

        The likely one follows from `gain` alone: a filter that has heard vowels only does not know a consonant's echo.
        """
        end -= _shift(self.delay, self._block)
        source = far.read(end - (PARTITIONS + 1) * self._block, end)
        echo = self._filter.process(source, near)
        self._powers.append((_power(near), _power(near - echo)))
        return echo, self.gain * _power(source[-2 * self._block :])


def _shift(delay: int, block: int) -> int:
    return max(0, delay - round(LEAD * block))


def _power(samples: NDArray[Any]) -> float:
    return float(samples @ samples) / len(samples)
