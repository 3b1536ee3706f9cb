"""Moonshine's tiny English model, which the wheel of moonshine-voice contains, in the library of that wheel.

The library's own streams share one voice detector state, so that two tracks corrupt each other's text. So whole
utterances are passed, with the detector off. The library's Python call copies every sample through a list. So the C
function is called directly, by private names of exactly one version.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import CannotStart
from flowcore.audio import FULL_SCALE
from flowcore.speech import DECODER_RATE, Decoded, DecodeFailed

VERSION = "0.0.73"
BLOCK_SAMPLES = 512  # the library ignores samples that do not fill a block
MIN_SAMPLES = 8 * BLOCK_SAMPLES  # fewer are an error: too few for the model's convolutions
OPTIONS = {
    "vad_threshold": "0",  # off: the utterance is cut already
    "vad_max_segment_duration": "0",  # unlimited
    "return_audio_data": "false",  # else every decode copies its audio into Python lists
}


class Tiny:
    """The loaded model."""

    def __init__(self) -> None:
        """Load the model. Raises `CannotStart`."""
        # By default ONNX Runtime spins idle threads, which takes 2.6 times the CPU. The library reads this on loading.
        os.environ["MOONSHINE_ORT_SINGLE_THREAD"] = "1"
        found = importlib.metadata.version("moonshine-voice")
        if found != VERSION:
            advice = f"{VERSION} is needed: pip install 'flowcore[moonshine]'"
            raise CannotStart(f"moonshine-voice {found} is installed, but {advice}", field="engine")
        from moonshine_voice import ModelArch, Transcriber
        from moonshine_voice.errors import MoonshineError
        from moonshine_voice.moonshine_api import TranscriptC
        from moonshine_voice.utils import get_assets_path

        try:
            self._model: Any = Transcriber(get_assets_path() / "tiny-en", ModelArch.TINY, options=OPTIONS)
        except (MoonshineError, OSError) as error:
            advice = f"reinstall moonshine-voice=={VERSION}"
            raise CannotStart(f"the model cannot be loaded ({error}): {advice}", field="engine") from error
        self._result = ctypes.POINTER(TranscriptC)

    def decode(self, samples: NDArray[np.int16]) -> Decoded:
        """Return the words in ``samples``, s16 at 16 kHz; the library gives no confidence. Raises `DecodeFailed`."""
        audio = np.zeros(max(MIN_SAMPLES, -(-len(samples) // BLOCK_SAMPLES) * BLOCK_SAMPLES), np.float32)
        np.multiply(samples, np.float32(1 / FULL_SCALE["s16"]), out=audio[: len(samples)])
        result = self._result()
        code = self._model._lib.moonshine_transcribe_without_streaming(
            self._model._handle,
            audio.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            audio.size,
            DECODER_RATE,
            0,
            ctypes.byref(result),
        )
        if code < 0:
            raise DecodeFailed(f"moonshine could not decode {len(samples) / DECODER_RATE:.1f} s of audio: error {code}")
        # The library owns the result and reuses it in the next call.
        lines = result.contents.lines[: result.contents.line_count]
        texts = (ctypes.string_at(line.text).decode("utf-8", "replace").strip() for line in lines if line.text)
        return Decoded(" ".join(texts))

    def close(self) -> None:
        """Free the model."""
        self._model.close()
