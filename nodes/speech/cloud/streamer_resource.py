"""The resource that all calls of a process share for a `Streamer`: the engine and its fallback."""

from __future__ import annotations

from flowcore import Resource
from flowcore.speech import Streamer
from nodes.speech.engine_choice import SpeechEngine
from nodes.speech.local.decoder_resource import DecoderResource


class StreamerResource(Resource):
    """The resource of `transcribe` for a streaming engine; equal for the same engine and fallback."""

    streamer: Streamer

    def __init__(self, engine: SpeechEngine, fallback: DecoderResource | None) -> None:
        self.engine = engine
        self.fallback = fallback

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StreamerResource) and (self.engine, self.fallback) == (other.engine, other.fallback)

    def __hash__(self) -> int:
        return hash((self.engine.cls, self.fallback))

    def open(self) -> None:
        made = self.engine.make()
        assert isinstance(made, Streamer)  # noqa: S101  # `SpeechEngine.streams` is true
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
