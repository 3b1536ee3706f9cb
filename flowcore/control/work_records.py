"""Records of the work of live calls, for ``flowcore perfetto``: begun by a request, and read by further ones.

A client reads every fraction of a second. A record whose client does not read ends by itself, and so does one whose
time is over: then no node is observed, and no call pays.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from flowcore.engine.bus import Event
from flowcore.engine.engine import Engine
from flowcore.engine.flow import CLOSED
from flowcore.telemetry.work_record import WorkRecord

MAX_RECORDS: Final = 4
"""Records of one process at once."""
MAX_SECONDS: Final = 600.0
"""Length of a record."""
MAX_ANSWER: Final = 2000
"""Events in one answer."""
UNREAD: Final = 5.0
"""Seconds without a client after which a record ends."""
LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks for records that are over."""


class WorkRecords:
    """The records of one engine. `answer` may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._records: dict[str, tuple[WorkRecord, float]] = {}  # and when it ends, in monotonic seconds
        self._read_at: dict[str, float] = {}
        self._subscribed = self._running = False

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Begin a record of a flow, or read one; None if it is not this engine's."""
        token = str(request.get("token", ""))
        return self._read(token) if token else self._begin(str(request.get("flow")), float(request["seconds"]))

    def _begin(self, name: str, seconds: float) -> dict[str, Any] | None:
        flow = self._engine.flows.get(name)
        if flow is None or flow.state == CLOSED:
            return None
        token, now = secrets.token_hex(8), time.monotonic()
        with self._lock:
            if any(record.flow is flow for record, _ in self._records.values()):
                return {"error": f"the work of {name} is being recorded already"}
            if len(self._records) >= MAX_RECORDS:
                return {"error": f"the work of {MAX_RECORDS} calls is being recorded already"}
            record = WorkRecord(flow, self._engine.now)
            self._records[token] = record, now + min(seconds, MAX_SECONDS)
            self._read_at[token] = now
            if not self._subscribed:
                self._subscribed = True
                self._engine.bus.subscribe(self._heard)
            if not self._running:
                self._running = True
                threading.Thread(target=self._look, name="flowcore-work-records", daemon=True).start()
        record.begin()
        return {"token": token}

    def _read(self, token: str) -> dict[str, Any] | None:
        with self._lock:
            found = self._records.get(token)
            if found is None:
                return None
            record, until = found
            self._read_at[token] = time.monotonic()
        over = time.monotonic() >= until or record.flow.state == CLOSED
        if not over:
            record.poll()
        events = record.take(MAX_ANSWER)
        done = over and len(events) < MAX_ANSWER
        if done:
            self._end(token)
        return {"events": events, "done": done, "lost": record.lost}

    def _heard(self, event: Event) -> None:
        for record, _ in tuple(self._records.values()):
            if event.flow == record.flow.id:
                record.event(event)

    def _end(self, token: str) -> None:
        with self._lock:
            found = self._records.pop(token, None)
            self._read_at.pop(token, None)
        if found is not None:
            found[0].end()

    def _look(self) -> None:
        """End records that nobody reads, and stop to observe when their time is over."""
        while True:
            time.sleep(LOOK_INTERVAL)
            self.look(time.monotonic())
            with self._lock:
                if not self._records:
                    self._running = False
                    return

    def look(self, now: float) -> None:
        """Do so at ``now``."""
        for token, (record, until) in tuple(self._records.items()):
            if now - self._read_at.get(token, now) >= UNREAD:
                self._end(token)
            elif now >= until:
                record.end()
