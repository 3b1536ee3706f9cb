"""Moonshine's English models, whose weights are part of the installation: no account, no download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from flowcore import Config, Extra
from flowcore.speech import Decoded, Decoder
from nodes.speech.engines.moonshine_files import BASE, TINY
from nodes.speech.engines.moonshine_model import MoonshineModel


class MoonshineConfig(Config):
    """The model."""

    model: Literal["auto", "base", "tiny"] = "auto"
    """``base``, or ``tiny``, which makes twice the errors in less memory; ``auto`` for ``base`` where it is installed,
    which is on Linux with an x86-64 processor. The log names the model (``decoders_started``)."""

    language: str = "en"
    """The spoken language: only ``en``. Other engines know more."""

    @field_validator("language")
    @classmethod
    def _is_english(cls, language: str) -> str:
        if language != "en":
            english = language.replace("_", "-").partition("-")[0].lower() in ("en", "english")
            advice = "write en" if english else "take whisper, google or openai for other languages"
            raise ValueError(f"moonshine knows English only, not {language!r}: {advice}")
        return language


class Moonshine(Decoder[MoonshineConfig]):
    """Moonshine base or tiny. Interim texts are tiny's in any case, for less than two thirds of the CPU."""

    REQUIRES = (Extra("moonshine_voice", "moonshine"), Extra("onnx", "moonshine"))
    takes_phrases = True

    _model: MoonshineModel | None = None
    _interim_model: MoonshineModel | None = None

    @property
    def model(self) -> str:
        return f"moonshine {self._choice}"

    @property
    def _choice(self) -> str:
        if self.config.model != "auto":
            return self.config.model
        return "base" if BASE.find() else "tiny"

    def open(self) -> None:
        self._interim_model = MoonshineModel(TINY)
        self._model = MoonshineModel(BASE) if self._choice == "base" else self._interim_model

    def decode(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> Decoded:
        assert self._model is not None  # noqa: S101  # opened
        return self._model.decode(samples, phrases) if samples.any() else Decoded("")

    def decode_interim(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> Decoded:
        assert self._interim_model is not None  # noqa: S101  # opened
        return Decoded(self._interim_model.text(samples, phrases) if samples.any() else "")

    def close(self) -> None:
        self._model = self._interim_model = None
