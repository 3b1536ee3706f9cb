"""Search for the echo of one track in another, again and again, and fit its path."""

from __future__ import annotations

import numpy as np

from nodes.echo.delay_estimator import DelayEstimator
from nodes.echo.echo_path import WELL_FITTED, EchoPath
from nodes.echo.history import TrackHistory
from nodes.echo.residual_gate import FLOOR, MARGIN

LONGEST_DELAY = 27
"""The longest delay, in blocks: 540 ms."""

WINDOW = 15
"""Length of the signal in which an echo is searched for, in blocks."""

INTERVAL = 5
"""Blocks from one search to the next."""

FOUND = 15.0
"""Height of the peak of the correlation that proves an echo, see `DelayEstimator.update`."""

LOUDEST_ECHO = 0.25
"""An echo has at most this share of the power of its source (-6 dB): a louder signal is a voice of its own."""

AUDIBLE = 2.0
"""Mean square of s16 samples below which there is nothing to search in."""

CANCELLED = 0.1
"""Share of an echo's power that a good path leaves at most."""

BETTER = 0.5
"""A new path replaces the present one if it leaves less than this share of what the present one leaves."""

MAX_FAILED_FITS, RETRY_INTERVAL = 5, 80
"""After so many fits without success, there are so many blocks between searches, because a fit takes milliseconds."""


class EchoSearch:
    """Searches in the track ``near`` for the echo of the track ``far``."""

    def __init__(self, near: TrackHistory, far: TrackHistory, block: int) -> None:
        self._near, self._far = near, far
        self._block = block
        self._window, self._longest = WINDOW * block, LONGEST_DELAY * block
        self._estimator = DelayEstimator(self._window, self._longest)
        self._wait = INTERVAL
        self._failed_fits = 0

    def update(self, end: int, present: EchoPath | None) -> EchoPath | None:
        """Take note of the block that ends at position ``end``; return a path that is better than ``present``."""
        self._wait -= 1
        if self._wait > 0:
            return None
        path = self._search(end, present)
        self._wait = INTERVAL if self._failed_fits < MAX_FAILED_FITS else RETRY_INTERVAL
        return path

    def _search(self, end: int, present: EchoPath | None) -> EchoPath | None:
        near = self._near.read(end - self._window, end)
        far = self._far.read(end - self._window - self._longest, end)
        energy = float(near @ near)
        if energy < AUDIBLE * self._window:
            return None
        delay, peak = self._estimator.update(near, far)
        source = far[self._longest - delay :][: self._window]
        found = peak >= FOUND and energy <= LOUDEST_ECHO * float(source @ source)
        if not found or (present and present.after <= CANCELLED * present.before + FLOOR):
            self._failed_fits = 0
            return None
        path = EchoPath.fit(near, self._far, end, delay, self._block)
        if present:
            better = path.left < WELL_FITTED and path.left * present.before < BETTER * present.after
        else:
            soft = float(np.square(near).reshape(-1, self._block).mean(axis=1).max()) < MARGIN * FLOOR
            better = path.left < WELL_FITTED or soft  # mu-law distorts a soft echo; the gate silences it
        self._failed_fits = 0 if better else self._failed_fits + 1
        return path if better else None
