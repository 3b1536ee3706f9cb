"""Silence in the place of audio that an operator keeps from the graph, such as payment data.

A *paused* call is silent, and a *muted* party of it. The listener's chunks keep their number, length and time, so that
the nodes behind it see the same stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

import msgspec
import numpy as np

from flowcore.audio import SILENCE, Audio, Packet
from flowcore.events import PAUSED
from flowcore.formats import Format
from flowcore.losses import Gap
from flowcore.report import Report
from flowcore.resource import Resource

MAX_REMEMBERED: Final = 10_000
"""Silenced calls that a process remembers after their flows; the oldest is forgotten first."""
SilencedCall = Sequence[Any]
"""A call id, whether the call is paused, and its muted parties: JSON values."""
RESOURCE: Final = "silenced calls"
"""Name under which workers tell each other of silenced calls: no node has a space in its name."""


class Silencing:
    """The silenced parties of one call, shared by its flows. Changed in the event loop's thread."""

    def __init__(self) -> None:
        self.paused = False
        self.muted: frozenset[str] = frozenset()
        self.period = 0  # grows when something is heard again
        self.on_change: set[Callable[[], None]] = set()
        """Called after each change."""

    @property
    def active(self) -> bool:
        return self.paused or bool(self.muted)

    def covers(self, track: str) -> bool:
        return self.paused or track in self.muted

    def set(self, paused: bool, muted: frozenset[str]) -> bool:
        """Silence exactly this from the next chunk on. Returns False if it was so already."""
        if (paused, muted) == (self.paused, self.muted):
            return False
        if paused < self.paused or not muted >= self.muted:
            self.period += 1
        self.paused, self.muted = paused, muted
        for callback in tuple(self.on_change):
            callback()
        return True


class SilencedCalls(Resource):
    """The silenced calls of all workers, by call id. Calls without an id are known by their flow alone.

    A call stays silenced when its peer connects again, or is transferred: until an operator lifts it.
    """

    def __init__(self) -> None:
        self._known: WeakValueDictionary[str, Silencing] = WeakValueDictionary()
        self._silenced: dict[str, Silencing] = {}
        self.on_change: list[Callable[[SilencedCall], None]] = []
        """Called with each change, in the event loop's thread."""

    def entries(self) -> list[SilencedCall]:
        """Return what is silenced now, for a process that starts later: see `on_worker_message`."""
        return [_entry(call_id, silencing) for call_id, silencing in self._silenced.items()]

    def open(self) -> None:
        """Do nothing: there is nothing to open."""

    def of(self, call_id: str) -> Silencing:
        """Return what is silenced of a call."""
        found = self._known.get(call_id) if call_id else None
        if found is None:
            found = Silencing()
            if call_id:
                self._known[call_id] = found
        return found

    def set(self, call_id: str, silencing: Silencing, paused: bool, muted: frozenset[str]) -> bool:
        """Silence this of the call, in all workers. Returns False if it was so already."""
        if not silencing.set(paused, muted):
            return False
        if call_id:
            self._remember(call_id, silencing)
            self.tell(_entry(call_id, silencing))
        return True

    def on_worker_message(self, worker: int, message: Any) -> None:
        call_id, paused, muted = message
        silencing = self.of(call_id)
        silencing.set(paused, frozenset(muted))
        self._remember(call_id, silencing)

    def _remember(self, call_id: str, silencing: Silencing) -> None:
        self._silenced.pop(call_id, None)
        if silencing.active:
            self._silenced[call_id] = silencing
            if len(self._silenced) > MAX_REMEMBERED:
                del self._silenced[next(iter(self._silenced))]
        for callback in self.on_change:
            callback(_entry(call_id, silencing))


def _entry(call_id: str, silencing: Silencing) -> SilencedCall:
    return [call_id, silencing.paused, sorted(silencing.muted)]


class Silencer:
    """Silences chunks of one flow, in the ``form`` of its listener, and keeps the stretches.

    ``position`` returns the seconds of the call at which a chunk begins.
    """

    def __init__(self, silencing: Silencing, form: Format, report: Report, position: Callable[[Packet], float]) -> None:
        self.silencing = silencing
        self._form = form
        self._report = report
        self._position = position
        self._spans: dict[tuple[str, int], tuple[float, float]] = {}

    def apply(self, chunk: Any) -> Any:
        """Return a silent chunk in place of one of a silenced party, None in place of a text; or the chunk."""
        if not self.silencing.covers(chunk.track):
            return chunk
        value = SILENCE.get(self._form.encoding, 0)
        if isinstance(chunk, Audio):
            start, channels = chunk.start / chunk.rate, chunk.channels
            silent: Any = chunk.replace(samples=np.full_like(chunk.samples, value))
        elif isinstance(chunk, Packet):
            start, channels = self._position(chunk), 1
            silent = msgspec.structs.replace(chunk, data=bytes([value]) * len(chunk.data))
        else:
            self._report.dropped(PAUSED.name, chunk.seconds)
            return None
        key = (chunk.track, self.silencing.period)
        first, last = self._spans.get(key, (start, start))
        self._spans[key] = min(first, start), max(last, start + chunk.seconds)
        self._report.filled(PAUSED.name, chunk.seconds * channels, 1)
        return silent

    def spans(self) -> tuple[Gap, ...]:
        """Return the stretches so far, in order. From any thread."""
        spans = [Gap(track, start, end, end - start) for (track, _), (start, end) in tuple(self._spans.items())]
        return tuple(sorted(spans, key=lambda span: span.start))
