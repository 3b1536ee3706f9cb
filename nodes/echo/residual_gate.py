"""Silence the rest that echo cancellation leaves, and pass the party's own voice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FADE = 0.6
"""Share of the expected power of an echo that lasts to the next block (110 dB/s): rooms ring longer than the filter."""

AUDIBLE = 0.1
"""Mean square of s16 samples of the predicted echo below which the signal passes unchanged."""

FLOOR = 100.0
"""Mean square of s16 samples up to which the rest is never a voice: -70 dB full scale. Mu-law turns a soft echo into
single steps of 8, which no linear filter removes."""

MARGIN = 4.0
"""The gate opens when the rest has this multiple of the power that an echo leaves."""

HANGOVER = 8
"""Blocks for which the gate stays open after a voice: soft ends of words and pauses between syllables."""

LEAST, FIRST, MOST = 0.02, 0.3, 0.5
"""Share of an echo's power that cancellation leaves: at best, at the start, and at worst."""

RISE, FALL = 0.5, 0.02
"""How fast the gate learns in a block that cancellation leaves more, or less: a filter first knows vowels only."""


class ResidualGate:
    """Decides block by block. It learns how much of the echo cancellation leaves while the gate is closed."""

    def __init__(self) -> None:
        self._left = FIRST
        self._echo = 0.0
        self._open = 0

    def process(self, near: NDArray[Any], echo: NDArray[Any], likely: float = 0.0) -> NDArray[Any]:
        """Return the block ``near`` without the predicted ``echo``: unchanged, the difference, or silence.

        ``likely`` is the mean square that the echo has at least, whatever is predicted.
        """
        predicted = max(likely, float(np.mean(echo * echo)))
        self._echo = max(predicted, FADE * self._echo)
        if self._echo < AUDIBLE:
            return near
        rest: NDArray[Any] = near - echo
        power = float(np.mean(rest * rest))
        if (before := float(np.mean(near * near))) <= power:  # a prediction that only adds is wrong
            rest, power = near, before
        limit = self._left * self._echo + FLOOR
        if power > MARGIN * limit:
            self._open = HANGOVER
        elif self._open:
            self._open = self._open - 1 if power <= limit else max(1, self._open - 1)
        if self._open:
            return rest
        if predicted > FLOOR:
            share = min(max(2 * power / predicted, LEAST), MOST)
            self._left += (RISE if share > self._left else FALL) * (share - self._left)
        return np.zeros_like(near)
