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
ID = 256
"""Characters of a call id that count."""

LIVE = "live"
OVER = "ended"


class Line(msgspec.Struct):
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

    def __init__(self, id: str, started: datetime) -> None:
        self.id = id
        self.revision = 0
        """Grows with every change."""
        self.sessions: list[float] = []
        """The second of the call in which each began."""
        self.ended = 0.0
        """When the last one ended, on the engine's clock."""
        self._started = started
        self._flows: dict[str, float] = {}  # live ones, with the second of the call in which they began
        self._lines: dict[str, tuple[int, Line]] = {}  # in the order of their last change
        self._last = 0.0  # the second of the call up to which something was said
        self._first: dict[str, None] = {}  # in the order of their first appearance

    @property
    def state(self) -> str:
        return LIVE if self._flows else OVER

    def join(self, flow: str, started: datetime) -> None:
        # A recording may be played faster than time passes: what comes later never stands before what was said.
        at = max((started - self._started).total_seconds(), self._last)
        self.revision += 1
        self._flows[flow] = at
        self.sessions = [*self.sessions, round(at, 3)][-SESSIONS:]

    def say(self, flow: str, text: Text) -> int:
        """Returns how many lines were dropped to make room."""
        begin = self._flows.get(flow, 0.0)
        id = f"{flow}.{text.track}.{text.utterance}"
        self.revision += 1
        start, end = round(begin + text.start, 3), round(begin + text.end, 3)
        self._last = max(self._last, end)
        self._lines.pop(id, None)
        self._lines[id] = self.revision, Line(id, text.track, start, end, text.text, text.final, text.gap)
        self._first[id] = None
        if len(self._first) <= LINES:
            return 0
        oldest = next(iter(self._first))
        del self._first[oldest], self._lines[oldest]
        return 1

    def leave(self, flow: str) -> None:
        self.revision += 1
        self._flows.pop(flow, None)

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

    def join(self, call: str, flow: str, started: datetime, now: float) -> None:
        """A session begins."""
        id = normal(call)
        with self._lock:
            self._forget(now)
            found = self._calls.setdefault(id, Call(id, started))
            self._over.pop(id, None)
            self._newest = id
            found.join(flow, started)

    def say(self, call: str, flow: str, text: Text) -> int:
        """A text, which replaces the one before of its utterance. Returns how many lines went to make room."""
        with self._lock:
            found = self._calls.get(normal(call))
            return found.say(flow, text) if found else 0

    def leave(self, call: str, flow: str, now: float) -> None:
        """A session has ended."""
        id = normal(call)
        with self._lock:
            found = self._calls.get(id)
            if found is None:
                return
            found.leave(flow)
            if found.state == OVER:
                found.ended = now
                self._over[id] = found
            self._forget(now)

    def find(self, call: str) -> Call | None:
        """The call with this id, already `normal`; the newest one for an empty id."""
        return self._calls.get(call or self._newest)

    def changes(self, call: Call, revision: int) -> tuple[Mapping[str, Any], list[tuple[int, Line]]]:
        """What there is to know of a call, and its lines since a revision."""
        with self._lock:
            return {"call": call.id, "state": call.state, "sessions": call.sessions}, call.since(revision)

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


def normal(call: str) -> str:
    """The id by which a call is known: what differs in space and case only is the same call."""
    return call.strip().casefold()[:ID]
