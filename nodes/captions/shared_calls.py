"""The words of one process's sessions, and those that the other workers tell of theirs.

Any worker may get the page of a call that another one takes: so each knows the words of all, as the texts are few and
small. One that comes late asks, and the others tell what they have.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec.structs import astuple

from flowcore import Text
from nodes.captions.calls import Beginning, Calls, Line, line

TOGETHER = 20
"""Lines in one message to the other workers at most."""


class Words:
    """What sinks say goes into ``calls`` and by ``tell`` to the other workers; what those tell goes in there too."""

    def __init__(self, calls: Calls, now: Callable[[], float], tell: Callable[[Any], None]) -> None:
        self._calls = calls
        self._now = now
        self._tell = tell
        self._lock = threading.Lock()  # so that another worker hears of a session what is known here, in this order
        self._own: dict[str, Beginning] = {}  # sessions of this process whose calls are known, by their flow
        self._others: dict[int, dict[str, str]] = {}  # calls by flow, for each other worker

    def ask(self) -> None:
        """Ask the other workers what they know."""
        self._tell(["ask"])

    def begin(self, call: str, flow: str, started: datetime) -> None:
        """A session of this process begins, or its node begins anew."""
        with self._lock:
            beginning = self._own.get(flow) or self._calls.beginning(call, flow, started)
            self._calls.begin(beginning, self._now())
            self._own = {flow: own for flow, own in self._own.items() if self._calls.find(own.call)}
            self._own[flow] = beginning
            self._tell(["begin", *astuple(beginning)])

    def say(self, flow: str, text: Text) -> int:
        """A text of a session of this process. Returns how many lines went to make room."""
        with self._lock:
            beginning = self._own[flow]
            said = line(flow, beginning.at, text)
            self._tell(["put", beginning.call, [astuple(said)]])
            return self._calls.put(beginning.call, said)

    def end(self, flow: str) -> None:
        """A session of this process has ended."""
        with self._lock:
            beginning = self._own.get(flow)
            if beginning is not None:
                self._tell(["end", beginning.call, flow])
                self._calls.end(beginning.call, flow, self._now())

    def on_worker_message(self, worker: int, message: list[Any]) -> None:
        """What another worker says of its sessions."""
        theirs = self._others.setdefault(worker, {})
        match message:
            case ["ask"]:
                self._tell_all()
            case ["begin", *fields]:
                beginning = Beginning(*fields)
                theirs[beginning.flow] = beginning.call
                self._calls.begin(beginning, self._now())
            case ["put", call, lines]:
                for fields in lines:
                    self._calls.put(call, Line(*fields))
            case ["end", call, flow]:
                theirs.pop(flow, None)
                self._calls.end(call, flow, self._now())

    def on_worker_exit(self, worker: int) -> None:
        """Another worker has ended, and its calls with it."""
        for flow, call in self._others.pop(worker, {}).items():
            self._calls.end(call, flow, self._now())

    def _tell_all(self) -> None:
        """The sessions of this process whose calls are known, with all that was said in them."""
        with self._lock:
            for flow, beginning in self._own.items():
                call = self._calls.find(beginning.call)
                if call is None:
                    continue
                self._tell(["begin", *astuple(beginning)])
                said = [astuple(said) for _, said in self._calls.changes(call, 0)[1] if said.id.startswith(f"{flow}.")]
                for at in range(0, len(said), TOGETHER):
                    self._tell(["put", beginning.call, said[at : at + TOGETHER]])
                if flow not in call.live:
                    self._tell(["end", beginning.call, flow])
