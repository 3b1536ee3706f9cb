"""Find the delay at which a signal repeats another, by generalized cross-correlation with phase transform (GCC-PHAT).

C. Knapp, G. Carter, The generalized correlation method for estimation of time delay, IEEE Trans. ASSP 24 (1976). The
phase transform gives all frequencies the same weight: a copy at any level has a sharp peak, another voice has none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MEMORY = 0.85
"""Weight of the earlier cross-spectra at each `update`. With an update every 0.1 s, the last 0.7 s count."""

REGULARIZATION = 1e3
"""Magnitude of the cross-spectrum of s16 samples below which a frequency, which holds noise only, counts less."""


class DelayEstimator:
    """Averages the whitened cross-spectra of windows of two signals."""

    def __init__(self, window: int, longest: int) -> None:
        """``window`` is the length of a window, ``longest`` the longest delay, in samples."""
        self._window = window
        self._longest = longest
        self._size = 1 << (window + longest - 1).bit_length()
        self._taper = np.hanning(window)
        self._spectrum: NDArray[Any] = np.zeros(self._size // 2 + 1, complex)

    def update(self, near: NDArray[Any], far: NDArray[Any]) -> tuple[int, float]:
        """Return the likely delay of ``far`` in ``near``, in samples, and the height of its peak.

        ``near`` has the length ``window`` and ends with ``far``, whose length is ``longest`` + ``window``. The height
        is in units of the root mean square of the correlation: two voices reach 13, an echo alone has 15 to 35.
        """
        end = self._longest + self._window
        padded = np.zeros(end)
        padded[self._longest :] = near * self._taper
        cross = np.fft.rfft(padded, self._size) * np.fft.rfft(far, self._size).conj()
        self._spectrum = MEMORY * self._spectrum + cross / (np.abs(cross) + REGULARIZATION)
        correlation = np.abs(np.fft.irfft(self._spectrum)[: self._longest])
        delay = int(correlation.argmax())
        return delay, float(correlation[delay] / max(np.sqrt(np.mean(correlation**2)), 1e-12))
