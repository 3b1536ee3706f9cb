"""The captions of live calls and of calls that ended a short time ago.

Nodes write in their threads, and feeds read in the event loop's thread. A feed has no queue: it remembers the revision
of its last read and asks for the changes since. So a slow reader gets fewer interim texts, and delays no writer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any

import msgspec

from flowcore import Gap, Session, Text
from flowcore.call_ids import normalize_id
from flowcore.events import PAUSED

MAX_CAPTIONS = 1000  # captions kept per call, more than an hour of talk; the oldest are dropped first
MAX_SESSIONS = 50  # sessions of one call whose starts are kept
MAX_ENDED_CALLS = 200  # calls kept after their end; the one that ended first is dropped first
MAX_TEXT_CHARS = 2000  # characters kept of a text: minutes of speech


class SessionStart(msgspec.Struct, frozen=True):
    """The start of a session at second ``at`` of its call, which began at ``started`` (ISO 8601, local).

    ``ids`` are further ids of the call, ``account`` the account that it belongs to.
    """

    call: str
    flow: str
    started: str
    at: float
    ids: Sequence[str] = ()
    account: str = ""


class Caption(msgspec.Struct, frozen=True):
    """One text on a page, with times in seconds of the call over all its sessions."""

    id: str
    track: str
    start: float
    end: float
    text: str
    final: bool
    gap: str = ""
    uncertain: bool = False
    confidence: float | None = None
    language: str = ""


@dataclass(eq=False)
class CaptionedCall:
    """One call: its sessions (a transfer adds one) and its captions."""

    id: str
    started: str
    account: str = ""
    ids: set[str] = field(default_factory=set)
    revision: int = 0  # number of changes so far
    sessions: dict[str, float] = field(default_factory=dict)  # second of the call in which each began, by flow
    live: set[str] = field(default_factory=set)  # flows that have not ended
    silent: dict[str, frozenset[str]] = field(default_factory=dict)  # parties that an operator silences, by flow
    ended: float = 0.0  # when the last flow ended, on the engine's clock
    last: float = 0.0  # second of the call at which the last caption ends
    _captions: dict[str, tuple[int, Caption]] = field(default_factory=dict)  # in the order of their last change
    _first: dict[str, None] = field(default_factory=dict)  # in the order of their first appearance

    @property
    def state(self) -> str:
        return "live" if self.live else "ended"

    def begin(self, flow: str, at: float) -> None:
        self.revision += 1
        self.live.add(flow)
        self.sessions.setdefault(flow, at)
        if len(self.sessions) > MAX_SESSIONS:
            del self.sessions[next(iter(self.sessions))]

    def silence(self, flow: str, parties: Iterable[str]) -> None:
        self.revision += 1
        self.silent[flow] = frozenset(parties)

    def put(self, caption: Caption) -> int:
        """Add or replace a caption; return how many captions were dropped for it."""
        if self._captions.get(caption.id, (0, None))[1] == caption:
            return 0
        self.revision += 1
        self.last = max(self.last, caption.end)
        self._captions.pop(caption.id, None)
        self._captions[caption.id] = self.revision, caption
        self._first[caption.id] = None
        if len(self._first) <= MAX_CAPTIONS:
            return 0
        oldest = next(iter(self._first))
        del self._first[oldest], self._captions[oldest]
        return 1

    def since(self, revision: int) -> list[tuple[int, Caption]]:
        """Return the captions that changed after ``revision``, each with its own revision, in order of change."""
        return list(takewhile(lambda entry: entry[0] > revision, reversed(self._captions.values())))[::-1]


class CallStore:
    """The calls by id; an ended call is kept for ``keep`` seconds."""

    def __init__(self, keep: float) -> None:
        self.complete_at = 0.0
        """Until then, captions of other processes may be on their way, and an unknown call is not yet unknown."""
        self._keep = keep
        self._lock = threading.RLock()  # guards the attributes below and the calls; held for microseconds
        self._calls: dict[str, CaptionedCall] = {}
        self._over: dict[str, CaptionedCall] = {}  # in the order of their ends
        self._by_id: dict[str, tuple[str, ...]] = {}  # calls that have this further id
        self._newest = ""

    def session_start(self, session: Session) -> SessionStart:
        """Return the start, in its call, of a session that begins now.

        Sessions with one call id are one call, but never across accounts: an id can be forged.
        """
        attributes, flow, started = session.attributes, session.flow, session.started
        id, account = normalize_id(attributes.get("call_id", "")), attributes.get("account_id", "")
        with self._lock:
            known = self._calls.get(id)
            if not id or (known is not None and known.account != account):
                id, known = normalize_id(flow), None
            ids = [normalize_id(each) for each in session.ids]
            if known is None:
                return SessionStart(id, flow, started.isoformat(), 0.0, ids, account)
            # A recording may be played faster than real time: a later session never starts before an earlier caption.
            at = max((started - datetime.fromisoformat(known.started)).total_seconds(), known.last)
            return SessionStart(id, flow, known.started, round(at, 3), ids, account)

    def begin(self, start: SessionStart, now: float) -> None:
        """Begin a session. May be called again for the same one."""
        id = start.call
        with self._lock:
            self.drop_ended(now)
            found = self._find_or_add(start)
            self._over.pop(id, None)
            self._newest = id
            found.begin(start.flow, start.at)

    def add_past(self, start: SessionStart, captions: Iterable[Caption], now: float) -> None:
        """Add captions of a session that has ended. May be called again for the same ones."""
        id = start.call
        with self._lock:
            found = self._find_or_add(start)
            self._newest = self._newest or id
            found.sessions.setdefault(start.flow, start.at)
            for caption in captions:
                found.put(caption)
            if not found.live and id not in self._over:
                found.ended = now
                self._over[id] = found
            self.drop_ended(now)

    def _find_or_add(self, start: SessionStart) -> CaptionedCall:
        id = start.call
        found = self._calls.setdefault(id, CaptionedCall(id, start.started, start.account))
        for each in {*start.ids} - found.ids - {id}:
            found.ids.add(each)
            self._by_id[each] = (*self._by_id.get(each, ()), id)
        return found

    def put(self, call: str, caption: Caption) -> int:
        """Add a caption or replace the one with its id; return how many captions were dropped for it."""
        with self._lock:
            found = self._calls.get(call)
            return found.put(caption) if found else 0

    def silence(self, call: str, flow: str, parties: Iterable[str]) -> None:
        """Show that these parties are silenced by an operator; the empty name stands for all."""
        with self._lock:
            found = self._calls.get(call)
            if found is not None and flow in found.live:
                found.silence(flow, parties)

    def end(self, call: str, flow: str, now: float) -> None:
        """End a session."""
        with self._lock:
            found = self._calls.get(call)
            if found is not None and flow in found.live:
                found.revision += 1
                found.live.discard(flow)
                found.silent.pop(flow, None)
                if not found.live:
                    found.ended = now
                    self._over[call] = found
            self.drop_ended(now)

    def find(self, name: str) -> CaptionedCall | None:
        """Return the call with this normalized id, or the newest call for an empty one; None for no call or several."""
        found = self._calls.get(name or self._newest)
        several = self._by_id.get(name, ())
        return self._calls.get(several[0]) if found is None and len(several) == 1 else found

    def is_ambiguous(self, name: str) -> bool:
        """Return whether several calls have this normalized id, such as a phone number."""
        return name not in self._calls and len(self._by_id.get(name, ())) > 1

    def changes(self, call: CaptionedCall, revision: int) -> tuple[Mapping[str, Any], list[tuple[int, Caption]]]:
        """Return the state of a call, and its captions since a revision."""
        with self._lock:
            silent = frozenset().union(*call.silent.values())
            state = {
                "call": call.id,
                "state": call.state,
                "sessions": sorted(call.sessions.values()),
                "paused": "" in silent,
                "muted": sorted(silent - {""}),
            }
            return state, call.since(revision)

    def drop_ended(self, now: float) -> None:
        """Drop the calls that ended long enough ago."""
        with self._lock:
            while self._over:
                id, call = next(iter(self._over.items()))
                if len(self._over) <= MAX_ENDED_CALLS and now - call.ended < self._keep:
                    return
                del self._over[id], self._calls[id]
                for each in call.ids:
                    self._by_id[each] = tuple(other for other in self._by_id[each] if other != id)
                    if not self._by_id[each]:
                        del self._by_id[each]


def silence_caption(flow: str, at: float, gap: Gap) -> Caption:
    """Make the caption of a stretch that an operator paused or muted, in a session that began at second ``at``."""
    id = f"{flow}.silenced.{gap.track}.{gap.start:.2f}"
    return Caption(id, gap.track, round(at + gap.start, 3), round(at + gap.end, 3), "", True, PAUSED.name)


def caption_of(flow: str, at: float, text: Text) -> Caption:
    """Make the caption of a text whose session began at second ``at`` of its call."""
    id = f"{flow}.{text.track}.{text.utterance}"
    start, end = round(at + text.start, 3), round(at + text.end, 3)
    said, confidence = text.text[:MAX_TEXT_CHARS], None if text.confidence is None else round(text.confidence, 3)
    return Caption(id, text.track, start, end, said, text.final, text.gap, text.uncertain, confidence, text.language)
