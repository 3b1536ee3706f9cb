"""Moonshine's tiny English model, which comes inside the wheel of moonshine-voice: no account, no download.

The library's own streams share one voice detector state, so that two parties corrupt each other's text; therefore
it is only given whole utterances here, with its detector off. Its Python call copies every sample through a list;
therefore the C function is called directly, which needs the private names of exactly one version.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import CannotStart, Extra
from nodes.speech.local.decoder import RATE, DecodeFailed, Decoder

VERSION = "0.0.73"
BLOCK = 512  # samples: the library ignores what does not fill one
LEAST = 8 * BLOCK  # of less, the model's convolutions can make nothing, and it is an error
OPTIONS = {
    "vad_threshold": "0",  # off: the utterance is cut already
    "vad_max_segment_duration": "0",  # unlimited
    "return_audio_data": "false",  # else every decode copies its audio into Python lists
}


class Moonshine(Decoder):
    """142 MB; 0.03 to 0.1 CPU seconds for a second of speech."""

    REQUIRES = (Extra("moonshine_voice", "moonshine"),)

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._model: Any = None

    def open(self) -> None:
        # By default ONNX Runtime spins idle threads: 2.6 times the CPU. Read when the model is loaded.
        os.environ["MOONSHINE_ORT_SINGLE_THREAD"] = "1"
        found = importlib.metadata.version("moonshine-voice")
        if found != VERSION:
            raise CannotStart(
                f"moonshine-voice {found} is installed, but {VERSION} is needed: pip install 'flowcore[moonshine]'",
                field="engine",
            )
        from moonshine_voice import ModelArch, Transcriber
        from moonshine_voice.errors import MoonshineError
        from moonshine_voice.moonshine_api import TranscriptC
        from moonshine_voice.utils import get_assets_path

        try:
            self._model = Transcriber(get_assets_path() / "tiny-en", ModelArch.TINY, options=OPTIONS)
        except (MoonshineError, OSError) as error:
            raise CannotStart(
                f"the model cannot be loaded ({error}): reinstall moonshine-voice=={VERSION}", field="engine"
            ) from error
        self._result = ctypes.POINTER(TranscriptC)

    def decode(self, samples: NDArray[np.int16]) -> str:
        if not len(samples):
            return ""
        audio = np.zeros(max(LEAST, -(-len(samples) // BLOCK) * BLOCK), np.float32)
        np.multiply(samples, np.float32(1 / 32768), out=audio[: len(samples)])
        result = self._result()
        code = self._model._lib.moonshine_transcribe_without_streaming(
            self._model._handle,
            audio.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            audio.size,
            RATE,
            0,
            ctypes.byref(result),
        )
        if code < 0:
            raise DecodeFailed(f"moonshine could not decode {len(samples) / RATE:.1f} s of audio: error {code}")
        # The result is the library's, and only until the next call: copy its text now.
        lines = result.contents.lines[: result.contents.line_count]
        return " ".join(ctypes.string_at(line.text).decode("utf-8", "replace").strip() for line in lines if line.text)

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None
