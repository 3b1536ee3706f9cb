"""Share the captions of all worker processes.

Any worker may serve the page of a call that another worker handles. Texts are few and small, so each worker keeps the
captions of all. A worker that starts later asks the others, which tell it of their own sessions and of those of workers
that exited.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import astuple

from flowcore import Gap, Session, Text
from nodes.captions.call_store import CallStore, Caption, SessionStart, caption_of, silence_caption

MAX_CAPTIONS_PER_MESSAGE = 20  # most captions in one message to the other workers


class SharedCalls:
    """Adds texts of this process to ``calls`` and sends them to the other workers by ``broadcast``; adds theirs too."""

    def __init__(self, calls: CallStore, now: Callable[[], float], broadcast: Callable[[Any], None]) -> None:
        self._calls = calls
        self._now = now
        self._broadcast = broadcast
        self._lock = threading.Lock()  # so that other workers get the changes in the order made here
        # Sessions with a stored call, by flow: those to tell of, of this process and of others that exited; and those
        # of each other worker.
        self._own: dict[str, SessionStart] = {}
        self._others: dict[int, dict[str, SessionStart]] = {}
        self._open: Counter[str] = Counter()  # nodes of this process that write texts, by flow

    def ask(self) -> None:
        """Ask the other workers for their captions."""
        self._broadcast(["ask"])

    def begin(self, session: Session) -> SessionStart:
        """Begin a session of this process, or continue it after a restart of its node; return its start."""
        flow = session.flow
        with self._lock:
            start = self._own.get(flow) or self._calls.session_start(session)
            self._calls.begin(start, self._now())
            self._forget(self._own)
            self._own[flow] = start
            self._open[flow] += 1
            self._broadcast(["begin", *astuple(start)])
            return start

    def add_text(self, flow: str, text: Text) -> int:
        """Add a text of a session of this process; return how many captions were dropped for it."""
        with self._lock:
            start = self._own[flow]
            caption = caption_of(flow, start.at, text)
            self._broadcast(["put", start.call, [astuple(caption)]])
            return self._calls.put(start.call, caption)

    def silence(self, flow: str, parties: frozenset[str], stretches: Iterable[Gap]) -> int:
        """Show which parties an operator silences now, and when there were any; return how many captions dropped."""
        with self._lock:
            start = self._own[flow]
            captions = [silence_caption(flow, start.at, stretch) for stretch in stretches]
            self._broadcast(["silent", start.call, flow, sorted(parties)])
            self._broadcast(["put", start.call, [astuple(caption) for caption in captions]])
            self._calls.silence(start.call, flow, parties)
            return sum(self._calls.put(start.call, caption) for caption in captions)

    def end(self, flow: str) -> None:
        """End a session of this process, once for each `begin`; it ends with the last."""
        with self._lock:
            self._open[flow] -= 1
            start = self._own.get(flow)
            if self._open[flow] <= 0:
                del self._open[flow]
            if start is not None and flow not in self._open:
                self._broadcast(["end", start.call, flow])
                self._calls.end(start.call, flow, self._now())

    def on_worker_message(self, worker: int, message: list[Any]) -> None:
        """Handle a message of another worker about its sessions."""
        theirs = self._others.setdefault(worker, {})
        match message:
            case ["ask"]:
                self._broadcast_all()
            case ["begin", *fields]:
                self._forget(theirs)
                theirs[fields[1]] = start = SessionStart(*fields)
                self._calls.begin(start, self._now())
            case ["past", fields, captions]:
                theirs[fields[1]] = start = SessionStart(*fields)
                self._calls.add_past(start, (Caption(*caption) for caption in captions), self._now())
            case ["silent", call, flow, parties]:
                self._calls.silence(call, flow, parties)
            case ["put", call, captions]:
                for fields in captions:
                    self._calls.put(call, Caption(*fields))
            case ["end", call, flow]:
                self._calls.end(call, flow, self._now())

    def on_worker_exit(self, worker: int) -> None:
        """End the calls of a worker that exited, and tell of them in its place."""
        with self._lock:
            for flow, start in self._others.pop(worker, {}).items():
                self._calls.end(start.call, flow, self._now())
                self._own.setdefault(flow, start)

    def _broadcast_all(self) -> None:
        """Send all sessions to tell of, with their captions."""
        with self._lock:
            for flow, start in self._own.items():
                call = self._calls.find(start.call)
                if call is None:
                    continue
                captions = [astuple(c) for _, c in self._calls.changes(call, 0)[1] if c.id.startswith(f"{flow}.")]
                pieces = [
                    captions[at : at + MAX_CAPTIONS_PER_MESSAGE]
                    for at in range(0, len(captions), MAX_CAPTIONS_PER_MESSAGE)
                ]
                if flow in call.live:
                    self._broadcast(["begin", *astuple(start)])
                    if flow in call.silent:
                        self._broadcast(["silent", start.call, flow, sorted(call.silent[flow])])
                    for piece in pieces:
                        self._broadcast(["put", start.call, piece])
                else:
                    for piece in pieces or [[]]:
                        self._broadcast(["past", astuple(start), piece])

    def _forget(self, sessions: dict[str, SessionStart]) -> None:
        """Remove the sessions of calls that are stored no more."""
        for flow in [flow for flow, start in sessions.items() if not self._calls.find(start.call)]:
            del sessions[flow]
