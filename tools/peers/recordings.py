"""Compare recordings with the calls of the load generator, whose audio is known to the last sample."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.load import TRACKS, call_id, samples

WIRE_RATE = 8000
TAIL = 0.1
"""Seconds that a resampled recording may be shorter: some resamplers keep their last samples."""

MIN_CORRELATION = 0.5
"""Correlation of equal sounds: a delay of half a sample leaves 0.64, the sound of another call 0.02."""


def faults(folder: Path, calls: int, seconds: float, rate: int) -> list[str]:
    """Return a line for the recordings of a load that are not whole, if there are any."""
    wrong = [call for call in range(calls) if not whole(folder / f"{call_id(call)}.wav", call, seconds, rate)]
    return [f"{len(wrong)} of {calls} recordings not whole"] if wrong else []


def whole(path: Path, call: int, seconds: float, rate: int) -> bool:
    """Return whether a stereo file of ``rate`` holds all audio of both parties: each sample, or a resampled equal."""
    try:
        with wave.open(str(path)) as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (2, 2, rate):
                return False
            recorded = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    except (OSError, EOFError, wave.Error):
        return False
    sent = np.stack([samples(call, track, seconds) for track in TRACKS], axis=1)
    if rate == WIRE_RATE:
        return np.array_equal(recorded, sent)
    if len(recorded) < (seconds - TAIL) * rate:
        return False
    return all(_alike(recorded[:: rate // WIRE_RATE, party], sent[:, party]) for party in range(2))


def _alike(recorded: NDArray[np.int16], sent: NDArray[np.int16]) -> bool:
    """Return whether two sounds are equal but for a filter: they correlate, with the same delay in both halves."""
    size = min(len(recorded), len(sent)) // 2
    lags = []
    for begin in (0, size):
        one, other = (sound[begin : begin + size].astype(float) for sound in (recorded, sent))
        product = np.fft.irfft(np.fft.rfft(one, 2 * size) * np.fft.rfft(other, 2 * size).conj())
        lag = int(product.argmax())
        if product[lag] < MIN_CORRELATION * np.linalg.norm(one) * np.linalg.norm(other):
            return False
        lags.append(lag)
    return abs(lags[0] - lags[1]) <= 1
