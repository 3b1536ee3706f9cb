"""What all calls of a process share to transcribe: the voice detector, the engine's model and its thread."""

from __future__ import annotations

from flowcore import Part
from nodes.speech.decoder import Decoder
from nodes.speech.moonshine import Moonshine
from nodes.speech.voice import VoiceModel
from nodes.speech.worker import Worker

DECODERS: dict[str, type[Decoder]] = {"moonshine": Moonshine}
CLOSE_WITHIN = 5.0  # seconds; the longest decode takes less than one


class Recognizer(Part):
    """The part of `transcribe`; two for the same engine are the same part."""

    voice: VoiceModel
    worker: Worker

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recognizer) and other.engine == self.engine

    def __hash__(self) -> int:
        return hash((Recognizer, self.engine))

    def open(self) -> None:
        self.voice = VoiceModel()
        decoder = DECODERS[self.engine]()
        decoder.open()
        # The thread closes the decoder, so that the model is never freed under a decode that hangs.
        self.worker = Worker(decoder.decode, decoder.close)

    def close(self) -> None:
        self.worker.close(CLOSE_WITHIN)
