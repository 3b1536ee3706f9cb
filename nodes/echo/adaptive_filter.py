"""Follow an echo path with a partitioned-block frequency-domain Kalman filter.

F. Kuech, E. Mabande, G. Enzner, State-space architecture of the partitioned-block-based acoustic echo controller,
ICASSP 2014; G. Enzner, P. Vary, Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free
telephones, Signal Processing 86 (2006). The filter has no step size and needs no detector of double talk: the other
voice is noise of the observation, and more noise slows the adaptation down.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TRANSITION = 0.9998
"""Share of the echo path that lasts from one block to the next: A in the papers, which use 0.99 to 0.9999."""

NOISE_DECAY = 0.7
"""Share of the observation noise that lasts to the next block."""

QUANTIZATION = 20.0
"""Mean square of the noise that is always there, for s16 samples. Mu-law has steps of 8 at the lowest levels."""


class AdaptiveFilter:
    """Predicts one signal from another with a filter of ``partitions`` blocks, and learns."""

    def __init__(self, path: NDArray[Any], uncertainty: float, block: int) -> None:
        """Start with ``path``, an impulse response of whole blocks of ``block`` samples.

        ``uncertainty`` is the expected power of what the path lacks, as a share of the power of the input.
        """
        partitions = len(path) // block
        self._block = block
        self._path: NDArray[Any] = np.fft.rfft(path.reshape(partitions, block), 2 * block)
        self._uncertainty: NDArray[Any] = np.full((partitions, block + 1), uncertainty / partitions)
        self._noise: NDArray[Any] = np.zeros(block + 1)

    def process(self, far: NDArray[Any], near: NDArray[Any]) -> NDArray[Any]:
        """Return the part of ``near``, one block, that follows from ``far``; then learn from the difference.

        ``far`` ends with ``near`` and is one block longer than the path.
        """
        block = self._block
        blocks = far.reshape(-1, block)[::-1]
        spectra = np.fft.rfft(np.concatenate((blocks[1:], blocks[:-1]), axis=1))
        echo: NDArray[Any] = np.fft.irfft((spectra * self._path).sum(axis=0))[block:]
        error = np.fft.rfft(np.concatenate((np.zeros(block), near - echo)))
        power = np.abs(spectra) ** 2
        self._noise = np.maximum(np.abs(error) ** 2, NOISE_DECAY * self._noise)
        expected = 0.5 * (power * self._uncertainty).sum(axis=0) + self._noise + QUANTIZATION * block
        step = self._uncertainty / expected
        update = np.fft.irfft(step * spectra.conj() * error)
        update[:, block:] = 0.0  # overlap-save: the second half is circular
        self._path = TRANSITION * (self._path + np.fft.rfft(update))
        lasting = TRANSITION**2
        self._uncertainty = lasting * (1 - 0.5 * step * power) * self._uncertainty
        self._uncertainty += (1 - lasting) * np.abs(self._path) ** 2
        return echo
