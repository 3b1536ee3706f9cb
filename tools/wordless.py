"""Sounds of a telephone line without words, s16 at 8 kHz, through mu-law.

The tones and their cadences are those of the United States (ITU-T E.180); the hold music is Debian's
(``asterisk-moh-opsound-wav``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nodes.audio import g711
from tools.noise import pink
from tools.prompts import INSTALL, MUSIC, RATE, telephone

DTMF = [(low, high) for low in (697, 770, 852, 941) for high in (1209, 1336, 1477)]  # Hz: ITU-T Q.23
SEED = 1


def wordless(seconds: float) -> dict[str, Any]:
    """Return sounds without words by name.

    Raises `FileNotFoundError` with the command that installs the hold music.
    """
    length = round(seconds * RATE)
    sounds: dict[str, Callable[[Any, int], Any]] = {
        "silence": lambda noise, length: np.zeros(length),
        "hiss, -54 dB": lambda noise, length: noise.normal(0, 65, length),
        "noise, -26 dB": lambda noise, length: noise.normal(0, 1640, length),
        "pink noise": lambda noise, length: 1640 * pink(noise, length),
        "breath": _breath,
        "hum": lambda noise, length: 2000 * _tones([50, 100, 150, 250], length),
        "clicks": _clicks,
        "tone": lambda noise, length: 8000 * _tones([1000], length),
        "ringback": lambda noise, length: 5000 * _tones([440, 480], length) * _cadence(2, 4, length),
        "busy": lambda noise, length: 5000 * _tones([480, 620], length) * _cadence(0.5, 0.5, length),
        "DTMF": _dtmf,
    }
    made = {name: _telephone(make(np.random.default_rng(SEED), length)) for name, make in sounds.items()}
    made["idle pattern"] = g711.decode(np.where(np.arange(length) % 2, 0x7F, 0xFF).astype(np.uint8))
    return made | {"hold music": _hold_music(length)}


def _telephone(samples: Any) -> Any:
    return g711.decode(g711.encode(np.clip(samples, -32768, 32767).astype(np.int16)))


def _hold_music(length: int) -> Any:
    pieces = sorted(MUSIC.glob("*.wav"))
    if not pieces:
        raise FileNotFoundError(f"the hold music is not installed: {INSTALL}")
    return np.resize(np.concatenate([telephone(path)[: -(-length // len(pieces))] for path in pieces]), length)


def _breath(noise: Any, length: int) -> Any:
    """Pink noise that rises and falls every 4 s."""
    rising = np.maximum(0, np.sin(2 * np.pi * np.arange(length) / (4 * RATE)))
    return 1500 * pink(noise, length) * rising


def _clicks(noise: Any, length: int) -> Any:
    """Two clicks of 1 ms a second, at random."""
    starts = noise.random(length) < 2 / RATE
    return 20000 * np.convolve(starts, np.ones(RATE // 1000))[:length]


def _dtmf(noise: Any, length: int) -> Any:
    """Random keys of 100 ms with 100 ms between."""
    key = RATE // 10
    keys = [4000 * _tones(DTMF[noise.integers(len(DTMF))], key) for _ in range(-(-length // (2 * key)))]
    return np.concatenate([part for tones in keys for part in (tones, np.zeros(key))])[:length]


def _tones(frequencies: Sequence[float], length: int) -> Any:
    """The mean of sines of these frequencies in Hz."""
    at = np.arange(length) / RATE
    return sum(np.sin(2 * np.pi * frequency * at) for frequency in frequencies) / len(frequencies)


def _cadence(on: float, off: float, length: int) -> Any:
    """1 for ``on`` seconds, then 0 for ``off``, and so on."""
    return np.arange(length) % round((on + off) * RATE) < on * RATE
