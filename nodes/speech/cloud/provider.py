"""What all calls of a process share to transcribe with a `Streamer`: the engine itself, and its fallback."""

from __future__ import annotations

from flowcore import Resource
from flowcore.speech import Streamer
from nodes.speech.engine_choice import SpeechEngine
from nodes.speech.local.recognizer import Recognizer


class Provider(Resource):
    """The part of `transcribe` for a streaming engine; two for the same engine and fallback are the same part."""

    streamer: Streamer

    def __init__(self, engine: SpeechEngine, fallback: Recognizer | None) -> None:
        self.engine = engine
        self.fallback = fallback

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Provider) and (self.engine, self.fallback) == (other.engine, other.fallback)

    def __hash__(self) -> int:
        return hash((self.engine.cls, self.fallback))

    def open(self) -> None:
        made = self.engine.make()
        assert isinstance(made, Streamer)  # noqa: S101  # `SpeechEngine.streams` says so
        self.streamer = made
        try:
            self.streamer.open()
            if self.fallback is not None:
                self.fallback.open()
        except BaseException:
            self.streamer.close()
            raise

    def close(self) -> None:
        self.streamer.close()
        if self.fallback is not None:
            self.fallback.close()
