"""OpenAI's Whisper models, run by faster-whisper: more languages and larger models, on this machine.

Whisper always computes on 30 s, so a short utterance costs as much as a long one. The engine never downloads a model:
a missing one is an error that names the command for the download.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationInfo, field_validator

from flowcore import CannotStart, Config, Extra
from flowcore.audio import FULL_SCALE
from flowcore.speech import DECODER_RATE, Decoded, DecodeFailed, Decoder
from nodes.speech.confidence import logit, probability, repetition
from nodes.speech.engines.prompt import echoes, with_phrases

LANGUAGES = (
    "af", "am", "ar", "as", "az", "ba", "be", "bg", "bn", "bo", "br", "bs", "ca", "cs", "cy", "da", "de", "el",
    "en", "es", "et", "eu", "fa", "fi", "fo", "fr", "gl", "gu", "ha", "haw", "he", "hi", "hr", "ht", "hu", "hy",
    "id", "is", "it", "ja", "jw", "ka", "kk", "km", "kn", "ko", "la", "lb", "ln", "lo", "lt", "lv", "mg", "mi",
    "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "nn", "no", "oc", "pa", "pl", "ps", "pt", "ro", "ru",
    "sa", "sd", "si", "sk", "sl", "sn", "so", "sq", "sr", "su", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl",
    "tr", "tt", "uk", "ur", "uz", "vi", "yi", "yo", "yue", "zh",
)  # fmt: skip
"""Codes of Whisper's languages."""
AUTO = "auto"
BIAS, MEAN, REPETITION, SILENCE = -0.27, 1.65, -0.78, -0.22
"""Weights of 1, of the logits of the mean token and of no speech, and of the repetition: `nodes.speech.confidence`."""
MIN_SILENCE = 1e-4  # probability of no speech; the logit of 0 is infinite


class WhisperConfig(Config):
    """The model and the spoken language."""

    model: str = "tiny.en"
    """Name of a downloaded model, such as ``small``, or the folder of one: ``models/my-tiny``."""

    language: str = "en"
    """The spoken language as a code such as ``de``; models whose name ends in ``.en`` know English only. ``auto``
    identifies the language of each utterance and names it in the transcript."""

    @field_validator("language")
    @classmethod
    def _is_known(cls, language: str, others: ValidationInfo) -> str:
        if language not in (*LANGUAGES, AUTO):
            code = language.replace("_", "-").partition("-")[0].lower()
            known = f"it knows {', '.join(LANGUAGES)}"
            alike = f"did you mean {code[:2]}? {known}" if code[:2] in LANGUAGES else known  # deutsch, english
            advice = f"write {code}" if code in LANGUAGES else alike
            raise ValueError(f"whisper has no language {language!r}: {advice}")
        model = str(others.data.get("model", ""))
        if language != "en" and model.endswith(".en"):
            raise ValueError(f"the model {model} knows English only: take one without .en, such as small")
        return language


class Whisper(Decoder[WhisperConfig]):
    """Whisper; ``tiny.en`` takes 150 MB, and about 0.6 CPU seconds for every utterance and interim text."""

    REQUIRES = (Extra("faster_whisper", "whisper"),)
    takes_phrases = True

    _model: Any = None

    @property
    def model(self) -> str:
        return f"whisper {self.config.model}"

    def open(self) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # there is one process per core: more threads would only compete
        from faster_whisper import WhisperModel

        path = Path(self.config.model).expanduser()
        model = str(path) if path.is_dir() else self.config.model
        try:
            self._model = WhisperModel(model, "cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise CannotStart(self._help(error), field="engine") from error
        language = self.config.language
        if language != "en" and self._model.supported_languages == ["en"]:
            raise CannotStart(f"the model {self.config.model} knows English only: set language: en", field="engine")

    def _help(self, error: Exception) -> str:
        from faster_whisper import available_models

        model = self.config.model
        if Path(model).expanduser().is_dir():
            return f"{model} holds no model that faster-whisper can load ({_first_line(error)})"
        if model in available_models():
            command = f'python -c "import faster_whisper; faster_whisper.download_model({model!r})"'
            return f"the model {model} is not on this machine yet: run  {command}"
        return f"there is no model {model}: give a folder, or one of {', '.join(available_models())}"

    def decode(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> Decoded:
        if not len(samples):
            return Decoded("")
        prompt = with_phrases("", phrases)
        decoded = self._decode(samples, prompt)
        return self._decode(samples, "") if echoes(prompt, decoded.text) else decoded

    def _decode(self, samples: NDArray[np.int16], prompt: str) -> Decoded:
        identified = self.config.language == AUTO
        try:
            segments, info = self._model.transcribe(
                samples.astype(np.float32) / FULL_SCALE["s16"],
                language=None if identified else self.config.language,
                beam_size=1,
                temperature=0.0,  # no retries at higher temperatures, which take up to six times the work
                without_timestamps=True,
                condition_on_previous_text=False,
                hotwords=prompt or None,
            )
            heard = list(segments)
        except (RuntimeError, ValueError) as error:
            seconds = len(samples) / DECODER_RATE
            raise DecodeFailed(f"whisper could not decode {seconds:.1f} s of audio: {_first_line(error)}") from error
        text = " ".join(segment.text.strip() for segment in heard)
        return Decoded(text, _confidence(heard), language=info.language if identified and text else "")

    def close(self) -> None:
        self._model = None


def _confidence(segments: Sequence[Any]) -> float | None:
    """Return the expected share of right words in the library's segments; None without words."""
    right = words = 0.0
    for segment in segments:
        count = len(segment.text.split())
        silence = logit(log(max(segment.no_speech_prob, MIN_SILENCE)))
        mean = logit(segment.avg_logprob)
        right += count * probability(BIAS + MEAN * mean + REPETITION * repetition(segment.text) + SILENCE * silence)
        words += count
    return right / words if words else None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
