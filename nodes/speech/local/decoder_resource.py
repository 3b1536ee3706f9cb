"""The resource that all calls of a process share for a `Decoder`: the voice model and the pool of decoders."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from flowcore import Resource
from flowcore.environment import worker_count
from flowcore.speech import Decoder
from nodes.speech.local.decoder_pool import DecoderPool
from nodes.speech.local.decoder_process import DecoderProcess
from nodes.speech.local.voice_detector import VoiceModel

CLOSE_TIMEOUT = 5.0  # seconds; a killed process ends at once


@dataclass(unsafe_hash=True)
class DecoderResource(Resource):
    """The resource of `transcribe` for the decoder ``cls``; equal for the same engine and settings."""

    cls: type[Decoder]
    config: Any = None
    processes: int = 0
    """How many decode at once; 0 for one per core."""
    backlog: float = 120.0
    """Seconds of audio that may wait."""
    voice: VoiceModel = field(init=False, compare=False)
    pool: DecoderPool = field(init=False, compare=False)

    def open(self) -> None:
        self.voice = VoiceModel()
        decoders = [DecoderProcess(self.cls, self.config) for _ in range(self.processes or cores())]
        self.pool = DecoderPool(decoders, self.backlog)

    def close(self) -> None:
        self.pool.close(CLOSE_TIMEOUT)


def cores() -> int:
    """Return this worker process's share of the usable cores, at least 1."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // worker_count())
