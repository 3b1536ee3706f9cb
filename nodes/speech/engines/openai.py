"""Any service with OpenAI's API for files, ``POST /audio/transcriptions``: OpenAI itself, or a server of your own.

An utterance is a request. A model that was given a prompt may give it back for audio without words; then the utterance
is transcribed again without the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from flowcore import Duration, Extra, Word
from flowcore.speech import DECODER_RATE, Decoded, DecodeFailed, Decoder
from nodes.audio import wav
from nodes.speech.engines.openai_account import AccountConfig, Language
from nodes.speech.engines.openai_requests import Requests
from nodes.speech.engines.prompt import echoes, with_phrases

MIN_SAMPLES = DECODER_RATE // 10
"""OpenAI refuses less than 0.1 s ("Audio file is too short")."""


class OpenAIConfig(AccountConfig):
    """The service, the model and the expected speech."""

    model: str = "gpt-4o-transcribe"
    """Name of the service's model."""

    language: Language = ""
    """The spoken language as a code such as ``de``; empty to let the model find it out."""

    prompt: str = ""
    """Names, words and style to expect, in the language of the call."""

    words: bool = False
    """Ask for the times of words (``verbose_json``): OpenAI's ``whisper-1`` and most servers of your own know them."""

    timeout: Duration = Duration("10s")
    """Longest wait for an answer."""

    @model_validator(mode="after")
    def _has_words(self) -> Self:
        if self.words and self.model.startswith("gpt-"):
            raise ValueError(f"{self.model} gives no times of words: take whisper-1, or words: false")
        return self


class TimedWord(msgspec.Struct):
    """A word of ``verbose_json``, without the punctuation of the text."""

    word: str
    start: float
    end: float


def timed_words(text: str, found: Any, seconds: float) -> tuple[Word, ...]:
    """Return the words of ``text``, with punctuation, with the times in an answer about ``seconds`` of audio.

    None if the answer has no times, times in no order, or another number of words.
    """
    try:
        timed = msgspec.convert(found or [], list[TimedWord])
    except msgspec.ValidationError:
        return ()
    spelled = text.split()
    bounds = [min(bound, seconds) for word in timed for bound in (word.start, word.end)]
    if len(spelled) != len(timed) or bounds != sorted(bounds) or min(bounds, default=0.0) < 0:
        return ()
    return tuple(Word(word, *times) for word, *times in zip(spelled, bounds[::2], bounds[1::2], strict=True))


class OpenAI(Decoder[OpenAIConfig]):
    """A service with OpenAI's API for files; docs/speech-openai.md has its limits and errors."""

    REQUIRES: ClassVar = (Extra("httpx", "openai"),)
    remote: ClassVar = True
    takes_phrases = True

    _requests: Requests | None = None

    @property
    def model(self) -> str:
        return f"{self.config.model} at {self.config.host}"

    def open(self) -> None:
        self._requests = Requests(self.config, self.config.timeout)

    def decode(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> Decoded:
        if not len(samples):
            return Decoded("")
        prompt = with_phrases(self.config.prompt, phrases)
        decoded = self._ask(samples, prompt)
        return self._ask(samples, "") if echoes(prompt, decoded.text) else decoded

    def _ask(self, samples: NDArray[np.int16], prompt: str) -> Decoded:
        assert self._requests is not None  # noqa: S101  # opened
        audio = np.zeros(max(MIN_SAMPLES, len(samples)), "<i2")
        audio[: len(samples)] = samples
        content = wav.header("s16", DECODER_RATE, 1, audio.nbytes) + audio.tobytes()
        config = self.config
        fields: dict[str, Any] = {"model": config.model, "response_format": "json"}
        if config.words:
            fields |= {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
        fields |= {name: text for name, text in (("language", config.language), ("prompt", prompt)) if text}
        answer = self._requests.post("/audio/transcriptions", fields, {"file": ("utterance.wav", content, "audio/wav")})
        text = answer.get("text")
        if not isinstance(text, str):
            raise DecodeFailed(f"{config.host} sent an answer without a text")
        return Decoded(text.strip(), words=timed_words(text, answer.get("words"), len(samples) / DECODER_RATE))

    def close(self) -> None:
        if self._requests is not None:
            self._requests.close()
            self._requests = None
