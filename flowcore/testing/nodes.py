"""Run one node without an engine, and make audio for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np

from flowcore.audio import Audio
from flowcore.engine.alarms import Alarm, Alarms
from flowcore.engine.slots import PERIOD
from flowcore.errors import AccountingError, Undeclared
from flowcore.events import Declared, Level
from flowcore.listener import Listener
from flowcore.live import live_fields
from flowcore.node import Demux, Node, Session, Sink
from flowcore.report import NoReport
from flowcore.units import Duration

SESSION = Session("test-flow", datetime(2026, 1, 2, 3, 4, 5), {"call_id": "call-1", "session_id": "1"})
"""The session of a node under test."""


class NodeHarness:
    """Run one node: push chunks into it, and read ``out``, ``dropped``, ``filled`` and ``events``.

    ``out`` holds the emitted chunks; for a `Demux`, ``ports[name]`` holds those of each output.
    ``now`` and ``audio_end`` are what the node's functions of these names return.
    ``dropped`` and ``filled`` count seconds by reason, ``dropped_chunks`` counts chunks by reason.
    """

    def __init__(
        self,
        cls: type[Node[Any]],
        config: Mapping[str, Any] | None = None,
        *,
        session: Session = SESSION,
        resource: Any = None,
    ) -> None:
        if issubclass(cls, Listener):
            raise TypeError("a listener needs an engine: use run_listener or run_graph")
        self._given = dict(config or {})
        self.node: Any = cls(cls.Config(**self._given))
        if resource is not None:
            self.node.resource = resource
        self.ports: dict[str, list[Any]] = {port: [] for port in cls.outputs or ("",)}
        self.out: list[Any] = next(iter(self.ports.values()))
        emits = [port.append for port in self.ports.values()]
        self._outputs: tuple[Any, ...] = (
            () if issubclass(cls, Sink) else (emits if issubclass(cls, Demux) else emits[0],)
        )
        self.dropped: Counter[str] = Counter()
        self.dropped_chunks: Counter[str] = Counter()
        self.filled: Counter[str] = Counter()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.declared = Declared()
        self.declared.add(cls.name, cls.events, cls.reasons)
        self._in = 0.0
        self.now = 0.0
        self.audio_end = 0.0
        self._alarms = Alarms(lambda: self.now)
        self.node.report = _Report(self)
        self.node.now = lambda: self.now
        self.node.audio_end = lambda: self.audio_end
        self.node.alarm = Alarm(self._alarms, self.collect)
        self.node.open(session)

    def push(self, *chunks: Any) -> NodeHarness:
        """Pass chunks to the node, one after another."""
        for chunk in chunks:
            self._in += _channel_seconds(chunk)
            self.node.process(chunk, *self._outputs)
        return self

    def collect(self) -> NodeHarness:
        """Call the node's ``collect``, as the engine does after ``wake``."""
        self.node.collect(*self._outputs)
        return self

    def set(self, **fields: Any) -> NodeHarness:
        """Change live fields of the node's config, as ``flowcore set`` does. Raises `TypeError` for other fields."""
        cls = type(self.node).Config
        if others := fields.keys() - set(live_fields(cls)):
            raise TypeError(f"these fields are not live: {', '.join(sorted(others))}")
        self._given |= fields
        self.node.on_config(cls(**self._given))
        return self

    def wait(self, seconds: float) -> NodeHarness:
        """Advance the clock in slots of 20 ms, and ring the node's alarm when it is due."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + PERIOD, until)
            self._alarms.ring()
        return self

    def end(self) -> NodeHarness:
        """End the stream: flush, close, and check the counters of a balanced node.

        Raises `AccountingError` when in + filled is not out + dropped.
        """
        self.node.flush(*self._outputs)
        self.node.close()
        for objection in self.declared.objections(self.node.name, (*self.dropped, *self.filled)):
            raise Undeclared(objection)
        if type(self.node).balanced:
            left = self._in + self.filled.total()
            right = sum(_channel_seconds(c) for port in self.ports.values() for c in port) + self.dropped.total()
            if abs(left - right) > 1e-3:
                raise AccountingError(f"{self.node.name}: in + filled = {left:.4f} s, out + dropped = {right:.4f} s")
        return self


class _Report(NoReport):
    """The `Report` of a node in a harness."""

    def __init__(self, harness: NodeHarness) -> None:
        self._harness = harness

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        self._harness.dropped[reason] += seconds  # type: ignore[assignment]  # a Counter adds floats as well
        self._harness.dropped_chunks[reason] += chunks

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        self._harness.filled[reason] += seconds  # type: ignore[assignment]

    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None:
        if objection := self._harness.declared.objection(type(self._harness.node).name, name, data):
            raise Undeclared(objection)
        self._harness.events.append((name, data))


def _channel_seconds(chunk: Any) -> float:
    return float(chunk.seconds) * int(getattr(chunk, "channels", 1))


def run(cls: type[Node[Any]], config: Mapping[str, Any] | None, chunks: Iterable[Any]) -> list[Any]:
    """Push ``chunks`` through one node, end the stream and return the emitted chunks, port by port."""
    harness = NodeHarness(cls, config).push(*chunks).end()
    return [chunk for port in harness.ports.values() for chunk in port] if cls.outputs else harness.out


def tone(length: str, *, hertz: float = 440, rate: int = 8000, track: str = "agent", start: int = 0) -> list[Audio]:
    """Return a sine at half scale as s16 chunks of 20 ms; ``start`` is in samples."""
    frames = Duration(length).samples(rate)
    wave = np.round(16384 * np.sin(2 * np.pi * hertz * np.arange(frames) / rate)).astype(np.int16)
    return _chunks(wave, rate, track, start)


def silence(length: str, *, rate: int = 8000, track: str = "agent", start: int = 0) -> list[Audio]:
    """Return digital silence as s16 chunks of 20 ms; ``start`` is in samples."""
    return _chunks(np.zeros(Duration(length).samples(rate), np.int16), rate, track, start)


def _chunks(samples: Any, rate: int, track: str, start: int) -> list[Audio]:
    step = rate // 50
    return [Audio(samples[at : at + step], "s16", rate, track, start + at) for at in range(0, len(samples), step)]


def joined(chunks: Iterable[Audio], track: str | None = None) -> Any:
    """Return the samples of all chunks, or of one track, in one array; holes are zeros (0xFF in mu-law)."""
    chosen = [chunk for chunk in chunks if track is None or chunk.track == track]
    if not chosen:
        return np.zeros(0, np.int16)
    first = chosen[0]
    shape = (max(chunk.end for chunk in chosen), *first.samples.shape[1:])
    whole = np.full(shape, 0xFF if first.encoding == "mulaw" else 0, first.samples.dtype)
    for chunk in chosen:
        whole[chunk.start : chunk.end] = chunk.samples
    return whole


def duration(chunks: Iterable[Audio]) -> str:
    """Return the total length of the chunks as a graph writes it: ``300ms``."""
    return str(Duration(math.fsum(chunk.seconds for chunk in chunks)))
