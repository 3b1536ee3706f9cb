"""What all calls of a process share to transcribe with a `Decoder`: the voice detector, the line, and the workers."""

from __future__ import annotations

import os
from typing import Any

from flowcore import Resource
from nodes.speech.local.decoder import Decoder
from nodes.speech.local.process import DecoderProcess
from nodes.speech.local.voice import VoiceModel
from nodes.speech.local.worker import Worker

CLOSE_WITHIN = 5.0
"""Seconds; a process that is killed ends at once."""
WORKERS = "FLOWCORE_WORKERS"
"""Set by ``flowcore run --workers``: how many processes share the cores with this one, itself included."""


class Recognizer(Resource):
    """The part of `transcribe` for the decoder ``cls``; two for the same engine and settings are the same part.

    ``processes`` decode at once, 0 for one for each core; ``backlog`` bounds the audio that waits, in seconds.
    """

    voice: VoiceModel
    worker: Worker

    def __init__(self, cls: type[Decoder], config: Any = None, processes: int = 0, backlog: float = 120.0) -> None:
        self.cls = cls
        self.config = config
        self.processes = processes
        self.backlog = backlog

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recognizer) and other._key() == self._key()

    def __hash__(self) -> int:
        return hash(self._key()[0])

    def _key(self) -> tuple[Any, ...]:
        return self.cls, self.config, self.processes, self.backlog

    def open(self) -> None:
        self.voice = VoiceModel()
        decoders = [DecoderProcess(self.cls, self.config) for _ in range(self.processes or cores())]
        self.worker = Worker(decoders, self.backlog)

    def close(self) -> None:
        self.worker.close(CLOSE_WITHIN)


def cores() -> int:
    """This process's share of the cores that it may run on."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // int(os.environ.get(WORKERS, "1")))
