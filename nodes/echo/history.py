"""The latest samples of one track, read by position."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class TrackHistory:
    """Keeps the latest samples of a track, up to position ``end``; holes and older samples read as 0."""

    def __init__(self) -> None:
        self.end = 0
        self._samples: NDArray[np.int16] = np.zeros(0, np.int16)

    def append(self, start: int, samples: NDArray[np.int16], keep: int) -> None:
        """Add samples at position ``start``, not before ``end``, and drop those before position ``keep``."""
        kept = self._samples[max(0, keep - self.end + len(self._samples)) :]
        hole = np.zeros(start - max(self.end, min(keep, start)), np.int16)
        self._samples = np.concatenate((kept, hole, samples))
        self.end = start + len(samples)

    def read(self, start: int, end: int) -> NDArray[Any]:
        """Return the samples from position ``start`` to ``end`` in float64."""
        first = self.end - len(self._samples)
        wanted = np.zeros(end - start)
        low, high = max(start, first), min(end, self.end)
        if low < high:
            wanted[low - start : high - start] = self._samples[low - first : high - first]
        return wanted
