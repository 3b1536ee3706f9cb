"""Moonshine's English models, whose weights are part of the installation: no account, no download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from flowcore import Config, Extra
from flowcore.speech import Decoded, Decoder
from nodes.speech.engines import moonshine_base
from nodes.speech.engines.moonshine_base import Base
from nodes.speech.engines.moonshine_tiny import Tiny


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
    """Moonshine base or tiny."""

    REQUIRES = (Extra("moonshine_voice", "moonshine"),)

    _model: Base | Tiny | None = None

    def __init__(self, config: MoonshineConfig | None = None) -> None:
        super().__init__(config)
        self.takes_phrases = self._choice == "base"

    @property
    def model(self) -> str:
        return f"moonshine {self._choice}"

    @property
    def _choice(self) -> str:
        if self.config.model != "auto":
            return self.config.model
        return "base" if moonshine_base.folder() else "tiny"

    def open(self) -> None:
        self._model = Base(moonshine_base.folder()) if self._choice == "base" else Tiny()

    def decode(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> Decoded:
        assert self._model is not None  # noqa: S101  # opened
        if not samples.any():
            return Decoded("")
        return self._model.decode(samples, phrases) if isinstance(self._model, Base) else self._model.decode(samples)

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None
