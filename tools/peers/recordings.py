"""Whether a recording of the load generator's calls holds what was said: it is known to the last sample."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.load import TRACKS, call_id, samples

WIRE_RATE = 8000
TAIL = 0.1
"""Seconds that a resampled recording may be shorter: some resamplers keep their last samples."""

ALIKE = 0.5
"""Correlation from which on two sounds are one: half a sample of delay alone leaves 0.64, another call's sound 0.02."""


def faults(folder: Path, calls: int, seconds: float, rate: int) -> list[str]:
    """What is wrong with the recordings of a load; nothing when all are whole."""
    wrong = [call for call in range(calls) if not whole(folder / f"{call_id(call)}.wav", call, seconds, rate)]
    return [f"{len(wrong)} of {calls} recordings not whole"] if wrong else []


def whole(path: Path, call: int, seconds: float, rate: int) -> bool:
    """Whether a stereo file of ``rate`` holds what both parties said: each sample, or its like at another rate."""
    try:
        with wave.open(str(path)) as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (2, 2, rate):
                return False
            heard = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    except (OSError, EOFError, wave.Error):
        return False
    said = np.stack([samples(call, track, seconds) for track in TRACKS], axis=1)
    if rate == WIRE_RATE:
        return np.array_equal(heard, said)
    if len(heard) < (seconds - TAIL) * rate:
        return False
    return all(_alike(heard[:: rate // WIRE_RATE, party], said[:, party]) for party in range(2))


def _alike(heard: NDArray[np.int16], said: NDArray[np.int16]) -> bool:
    """Whether two sounds are one up to a filter: they correlate, with the same delay in both halves."""
    size = min(len(heard), len(said)) // 2
    lags = []
    for begin in (0, size):
        one, other = (sound[begin : begin + size].astype(float) for sound in (heard, said))
        product = np.fft.irfft(np.fft.rfft(one, 2 * size) * np.fft.rfft(other, 2 * size).conj())
        lag = int(product.argmax())
        if product[lag] < ALIKE * np.linalg.norm(one) * np.linalg.norm(other):
            return False
        lags.append(lag)
    return abs(lags[0] - lags[1]) <= 1
