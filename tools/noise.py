"""Noise of known levels for telephone speech."""

from __future__ import annotations

from typing import Any

import numpy as np

from nodes.audio import g711

VOICES = 8  # that babble together


def add_noise(speech: Any, kind: str, snr: float, seed: int = 1) -> Any:
    """Return ``speech`` (s16 at 8 kHz) with noise ``snr`` dB below its level without pauses, through mu-law.

    ``kind`` is ``white``, ``pink`` (the same power in each octave), or ``babble``: eight voices of ``speech`` itself.
    """
    random = np.random.default_rng(seed)
    if kind == "babble":
        noise = sum(np.roll(speech.astype(float), int(shift)) for shift in random.integers(1, len(speech), VOICES))
    else:
        noise = pink(random, len(speech)) if kind == "pink" else random.normal(0, 1, len(speech))
    level = np.sqrt(np.mean(np.square(speech[speech != 0], dtype=float)))
    loud = noise / noise.std() * level * 10 ** (-snr / 20)
    return g711.decode(g711.encode(np.clip(speech + loud, -32768, 32767).astype(np.int16)))


def pink(random: np.random.Generator, length: int) -> Any:
    """Return noise with the same power in each octave, and a standard deviation of 1."""
    spectrum = np.fft.rfft(random.normal(0, 1, length))
    spectrum /= np.sqrt(np.maximum(1, np.arange(len(spectrum))))
    samples = np.fft.irfft(spectrum, length)
    return samples / samples.std()
