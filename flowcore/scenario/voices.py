"""The samples of a test's voices: tones, silence and WAV files, piece after piece."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowcore.errors import UsageError
from flowcore.scenario.model import Piece

TONE_PEAK = 16384
"""Peak of a tone: half of full scale, -6 dB."""


def sound(pieces: Sequence[Piece], rate: int, folder: Path) -> NDArray[np.int16]:
    """The samples of one party. Raises `UsageError` for a file that cannot be read."""
    made = [np.zeros(0, np.int16)]
    for piece in pieces:
        if piece.silence is not None:
            made.append(np.zeros(piece.silence.samples(rate), np.int16))
        elif piece.tone is not None:
            at = np.arange(piece.tone.samples(rate))
            made.append(np.round(TONE_PEAK * np.sin(2 * np.pi * piece.hertz * at / rate)).astype(np.int16))
        elif piece.wav is not None:
            made.append(_read(folder / piece.wav, rate))
    return np.concatenate(made)


def _read(path: Path, rate: int) -> NDArray[np.int16]:
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2 or file.getnchannels() != 1:
                raise UsageError(f"{path} is not mono of 16 bits: convert it")
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
            given = file.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    if given == rate:
        return samples
    import soxr

    return soxr.resample(samples, given, rate)  # type: ignore[no-any-return]
