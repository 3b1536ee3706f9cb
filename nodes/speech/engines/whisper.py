"""OpenAI's Whisper models as faster-whisper runs them: more languages and larger models, on this machine.

It always computes on 30 s, so a short utterance costs as much as a long one. Nothing is ever downloaded behind
anybody's back: a model that is not here is an error that names the command which brings it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import CannotStart, Config, Extra
from nodes.speech.local.decoder import DecodeFailed, Decoder


class WhisperConfig(Config):
    """Which model, and the language that is spoken."""

    model: str = "tiny.en"
    """Name of a model that was downloaded before, such as ``small``, or the folder of one: ``models/my-tiny``."""

    language: str = "en"
    """What is spoken, as a code such as ``de``; models whose name ends in ``.en`` know English only."""


class Whisper(Decoder[WhisperConfig]):
    """``tiny.en``: 150 MB, and about 0.6 CPU seconds for every utterance and interim text."""

    REQUIRES = (Extra("faster_whisper", "whisper"),)

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._model: Any = None

    def open(self) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process a core: threads would only get in each other's way
        from faster_whisper import WhisperModel

        path = Path(self.config.model).expanduser()
        model = str(path) if path.is_dir() else self.config.model
        try:
            self._model = WhisperModel(model, "cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise CannotStart(self._help(error), field="engine") from error

    def _help(self, error: Exception) -> str:
        from faster_whisper import available_models

        model = self.config.model
        if Path(model).expanduser().is_dir():
            return f"{model} holds no model that faster-whisper can load ({_line(error)})"
        if model in available_models():
            command = f'python -c "import faster_whisper; faster_whisper.download_model({model!r})"'
            return f"the model {model} is not on this machine yet: run  {command}"
        return f"there is no model {model}: give a folder, or one of {', '.join(available_models())}"

    def decode(self, samples: NDArray[np.int16]) -> str:
        if not len(samples):
            return ""
        try:
            segments, _ = self._model.transcribe(
                samples.astype(np.float32) / 32768,
                language=self.config.language,
                beam_size=1,
                temperature=0.0,  # else it tries again, warmer, what it is unsure of: up to six times the work
                without_timestamps=True,
                condition_on_previous_text=False,
            )
            return " ".join(segment.text.strip() for segment in segments)
        except (RuntimeError, ValueError) as error:
            raise DecodeFailed(
                f"whisper could not decode {len(samples) / 16000:.1f} s of audio: {_line(error)}"
            ) from error

    def close(self) -> None:
        self._model = None


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
