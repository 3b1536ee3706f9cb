"""What was said in the calls of now and of a while ago, for pages to look at.

Nodes write, in their threads; viewers read, in the event loop's. A viewer has no queue: it remembers the revision that
it has seen, and asks for what changed since. So one that reads slowly sees fewer interim texts, costs nothing, and
holds up nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from flowcore import Text

LINES = 1000
"""Texts kept of one call: more than an hour of talk; then the oldest go."""
SESSIONS = 50
"""Sessions of one call whose beginnings are kept."""
ENDED = 200
"""Calls kept after their end; then the one that ended first goes."""
TEXT = 2000
"""Characters of a text that are kept: minutes of speech."""
ID = 256
"""Characters of a call id that count."""

LIVE = "live"
OVER = "ended"


class Beginning(msgspec.Struct, frozen=True):
    """A session begins at second ``at`` of its call, which began at ``started`` (ISO 8601, local)."""

    call: str
    flow: str
    started: str
    at: float


class Line(msgspec.Struct, frozen=True):
    """One text as a page sees it: times in seconds of the call, over all its sessions."""

    id: str
    track: str
    start: float
    end: float
    text: str
    final: bool
    gap: str = ""


class Call:
    """One call: its sessions (a transfer makes another one) and its lines."""

    def __init__(self, id: str, started: str) -> None:
        self.id = id
        self.started = started
        self.revision = 0
        """Grows with every change."""
        self.sessions: dict[str, float] = {}
        """The second of the call in which each began, by its flow."""
        self.live: set[str] = set()
        """The flows that have not ended."""
        self.ended = 0.0
        """When the last one ended, on the engine's clock."""
        self.last = 0.0
        """The second of the call up to which something was said."""
        self._lines: dict[str, tuple[int, Line]] = {}  # in the order of their last change
        self._first: dict[str, None] = {}  # in the order of their first appearance

    @property
    def state(self) -> str:
        return LIVE if self.live else OVER

    def begin(self, flow: str, at: float) -> None:
        self.revision += 1
        self.live.add(flow)
        self.sessions.setdefault(flow, at)
        if len(self.sessions) > SESSIONS:
            del self.sessions[next(iter(self.sessions))]

    def put(self, line: Line) -> int:
        """Returns how many lines were dropped to make room."""
        self.revision += 1
        self.last = max(self.last, line.end)
        self._lines.pop(line.id, None)
        self._lines[line.id] = self.revision, line
        self._first[line.id] = None
        if len(self._first) <= LINES:
            return 0
        oldest = next(iter(self._first))
        del self._first[oldest], self._lines[oldest]
        return 1

    def end(self, flow: str) -> None:
        self.revision += 1
        self.live.discard(flow)

    def since(self, revision: int) -> list[tuple[int, Line]]:
        """The lines that changed after ``revision``, each with its own, the first change first."""
        changed = []
        for entry in reversed(self._lines.values()):
            if entry[0] <= revision:
                break
            changed.append(entry)
        return changed[::-1]


class Calls:
    """The calls by id. ``keep`` is how many seconds an ended one stays."""

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._lock = threading.Lock()  # guards all below, and the calls; held for microseconds
        self._calls: dict[str, Call] = {}
        self._over: dict[str, Call] = {}  # in the order of their ends
        self._newest = ""

    def beginning(self, call: str, flow: str, started: datetime) -> Beginning:
        """Where in its call a session stands that begins now."""
        id = normal(call)
        with self._lock:
            known = self._calls.get(id)
            if known is None:
                return Beginning(id, flow, started.isoformat(), 0.0)
            # A recording may be played faster than time passes: what comes later never stands before what was said.
            at = max((started - datetime.fromisoformat(known.started)).total_seconds(), known.last)
            return Beginning(id, flow, known.started, round(at, 3))

    def begin(self, beginning: Beginning, now: float) -> None:
        """A session begins; once more is no harm."""
        id = beginning.call
        with self._lock:
            self._forget(now)
            found = self._calls.setdefault(id, Call(id, beginning.started))
            self._over.pop(id, None)
            self._newest = id
            found.begin(beginning.flow, beginning.at)

    def put(self, call: str, line: Line) -> int:
        """A line, which replaces the one with its id. Returns how many lines went to make room."""
        with self._lock:
            found = self._calls.get(call)
            return found.put(line) if found else 0

    def end(self, call: str, flow: str, now: float) -> None:
        """A session has ended."""
        with self._lock:
            found = self._calls.get(call)
            if found is not None and flow in found.live:
                found.end(flow)
                if found.state == OVER:
                    found.ended = now
                    self._over[call] = found
            self._forget(now)

    def find(self, call: str) -> Call | None:
        """The call with this id, already `normal`; the newest one for an empty id."""
        return self._calls.get(call or self._newest)

    def changes(self, call: Call, revision: int) -> tuple[Mapping[str, Any], list[tuple[int, Line]]]:
        """What there is to know of a call, and its lines since a revision."""
        with self._lock:
            state = {"call": call.id, "state": call.state, "sessions": sorted(call.sessions.values())}
            return state, call.since(revision)

    def forget(self, now: float) -> None:
        """Let go of calls that ended long ago."""
        with self._lock:
            self._forget(now)

    def _forget(self, now: float) -> None:
        while self._over:
            id, call = next(iter(self._over.items()))
            if len(self._over) <= ENDED and now - call.ended < self._keep:
                return
            del self._over[id], self._calls[id]


def line(flow: str, at: float, text: Text) -> Line:
    """A text of a session that began at second ``at`` of its call."""
    id = f"{flow}.{text.track}.{text.utterance}"
    start, end = round(at + text.start, 3), round(at + text.end, 3)
    return Line(id, text.track, start, end, text.text[:TEXT], text.final, text.gap)


def normal(call: str) -> str:
    """The id by which a call is known: what differs in space and case only is the same call."""
    return call.strip().casefold()[:ID]
