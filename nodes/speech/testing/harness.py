"""Run the node `transcribe` on one call, on a virtual clock or in real time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import Audio, Encoding, Text
from flowcore.registry import available
from flowcore.testing import NodeHarness
from nodes.speech.testing.fault_injection import FaultInjector, StreamFault

CHUNK_SECONDS = 0.1

Holds = Sequence[tuple[float, float]]
"""Start and end of each stretch without audio, in seconds."""


@dataclass(eq=False)
class TranscribeHarness:
    """One `transcribe` node of one call: `play` audio, `finish` the call, read ``texts``.

    ``speed`` is how many seconds of the call pass in one real second; 0 selects a virtual clock. ``tick`` is called
    with the time of the call as it passes. ``limits`` and ``fault`` are for streaming engines: see `FaultInjector`.
    """

    engine: str | Mapping[str, Any]
    limits: Mapping[str, float]
    fault: Callable[[int], StreamFault]
    speed: float
    settings: Mapping[str, Any]
    tick: Callable[[float], None]

    def __post_init__(self) -> None:
        cls: Any = available()["transcribe"].load()
        config = {"engine": self.engine, **self.settings}
        self.resource: Any = cls.make_resource(cls.Config(**config))
        self.resource.open()
        self._began = time.monotonic()
        self._woken = Event()
        if hasattr(self.resource, "streamer"):
            inner, limits = self.resource.streamer, replace(self.resource.streamer.limits, **self.limits)
            self.injector = FaultInjector(inner, lambda: self.harness.now, limits, self.fault)
            self.resource.streamer = self.injector
        self.harness = NodeHarness(cls, config, resource=self.resource)
        self.harness.node.wake = self._woken.set

    @property
    def texts(self) -> list[Text]:
        """The texts that the node has emitted."""
        return self.harness.out

    @property
    def finals(self) -> list[Text]:
        """The final texts with words."""
        return [text for text in self.texts if text.final and text.text]

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """Start and end of each stretch without a transcript, in seconds."""
        return [(text.start, text.end) for text in self.texts if text.gap]

    def play(self, chunks: Sequence[Audio]) -> TranscribeHarness:
        """Push each chunk at the time of its last sample; holes between chunks take their time."""
        for chunk in chunks:
            self.wait(chunk.end / chunk.rate - self.harness.now)
            self.harness.push(chunk)
            self._collect()
        return self

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        until = self.harness.now + seconds
        while self.harness.now < until:
            if self.speed:
                self._woken.wait(0.005 if self.speed > 1 else 0.02)
                passed = (time.monotonic() - self._began) * self.speed - self.harness.now
                self.harness.now += max(0.0, min(passed, 0.5))
                self.harness.wait(0)
                self.harness._alarms.ring()
            else:
                self.harness.wait(min(0.02, until - self.harness.now))
            self.tick(self.harness.now)
            self.injector.tick()
            self._collect()

    def finish(self, within: float = 20.0) -> float:
        """End the call as the engine does, and return the seconds that took, ``within`` at most."""
        began = self.harness.now
        self.harness.node.flush(self.texts.append)
        self._collect()
        self.harness.collect()
        while self.harness.node.busy() and self.harness.now < began + within:
            self.wait(0.02)
        took = self.harness.now - began
        self.close()
        return took

    def drain(self, timeout: float) -> None:
        """End the call and wait up to ``timeout`` real seconds for decoders, which know no virtual clock."""
        deadline = time.monotonic() + timeout
        self.harness.node.flush(self.texts.append)
        while self.harness.node.busy():
            assert self._woken.wait(deadline - time.monotonic()), "no answer from the decoder"
            self._collect()
        self.harness.collect()

    def close(self) -> None:
        """Close the node and its resource."""
        self.harness.node.close()
        self.resource.close()

    def _collect(self) -> None:
        if self._woken.is_set():
            self._woken.clear()
            self.harness.collect()


def to_chunks(
    samples: NDArray[Any], encoding: Encoding, rate: int, holds: Holds = (), track: str = "agent"
) -> list[Audio]:
    """Cut the audio into chunks of 100 ms and leave out the ``holds``."""
    bounds = [0, *(round(second * rate) for hold in holds for second in hold), len(samples)]
    chunks = []
    for start, end in zip(bounds[::2], bounds[1::2], strict=True):
        for at in range(start, end, round(CHUNK_SECONDS * rate)):
            piece = samples[at : min(end, at + round(CHUNK_SECONDS * rate))]
            chunks.append(Audio(np.ascontiguousarray(piece), encoding, rate, track, at))
    return chunks
