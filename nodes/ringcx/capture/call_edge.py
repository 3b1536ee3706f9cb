"""The edge of one connection, where its messages come in: they go to a capture, or are kept for one that may begin.

What begins a call is kept, so that a capture that an operator begins later can be played as a call. All calls are made
in the event loop's thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Protocol

from websockets.datastructures import Headers
from websockets.http11 import Request

from flowcore import Inlet
from nodes.ringcx.capture.capture_file import Capture, Connection, End
from nodes.ringcx.listener_config import Transport
from nodes.ringcx.messages import TRACKS

MAX_KEPT = 256
"""Messages that are kept: media that comes before its Start, and the events of a dialog."""

MAX_KEPT_BYTES = 256 << 10
"""Bytes of them; the last one is always kept."""

_PARTIES = (*TRACKS.values(), "bot")


class Captures(Protocol):
    """Which calls are captured: see `nodes.ringcx.capture.captures`."""

    def started(self, edge: CallEdge) -> None:
        """A call has begun: begin its capture if it is wanted."""

    def ended(self, edge: CallEdge, now: float) -> None:
        """A call has ended, or a connection that was none."""


class CallEdge:
    """The edge of one connection; without ``captures`` it does nothing."""

    def __init__(self, captures: Captures | None, request: Request, transport: Transport, now: float) -> None:
        self.wants = captures is not None
        """Whether every message is wanted: before the start, and while there is a capture. Later, `keep` the others."""
        self.connection = Connection(request, transport, now)
        self.inlet: Inlet | None = None
        self.attributes: Mapping[str, str] = {}
        self.capture: Capture | None = None
        self.kept: deque[tuple[float, bytes]] = deque(maxlen=MAX_KEPT)
        self._kept_bytes = 0
        self._captures = captures
        self._closed = False

    def message(self, data: bytes, at: float) -> None:
        """Take a message that came at ``at``."""
        inlet, capture = self.inlet, self.capture
        if capture is None:
            self.keep(data, at)
        elif inlet is not None and inlet.ended:  # by its flow, or by an operator: the rest is not the call's
            self.close(inlet.reason, at)
        else:
            silenced = () if inlet is None else tuple(track for track in _PARTIES if inlet.silences(track))
            capture.message(data, at, silenced)
            self.wants = not capture.over

    def keep(self, data: bytes, at: float) -> None:
        """Keep a message that belongs to the beginning of the call."""
        if self._captures is None or self._closed:
            return
        if len(self.kept) == MAX_KEPT:
            self._forget_oldest()
        self.kept.append((at, data))
        self._kept_bytes += len(data)
        while self._kept_bytes > MAX_KEPT_BYTES and len(self.kept) > 1:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._kept_bytes -= len(self.kept.popleft()[1])

    def started(self, inlet: Inlet, attributes: Mapping[str, str]) -> None:
        """Note that the call has begun."""
        if self._captures is not None:
            self.inlet, self.attributes, self.wants = inlet, attributes, False
            self._captures.started(self)

    def begin(self, capture: Capture, at: float | None = None) -> None:
        """Capture the call from its beginning on; from ``at`` on if it runs already."""
        self.capture = capture
        silenced = [track for track in _PARTIES if self.inlet is not None and self.inlet.silences(track)]
        for came, data in self.kept:
            capture.message(data, came if at is None else at, tuple(silenced))
        self.wants = not capture.over

    def stop(self, why: End, now: float) -> None:
        """End the capture; the call goes on."""
        if self.capture is not None:
            self.capture.end(why, now)
        self.capture, self.wants = None, False

    def close(self, reason: str, now: float, code: int | None = None, answer: str = "") -> None:
        """Note the end: the reason of the flow's, the peer's close code, and our answer."""
        if self._captures is None or self._closed:
            return
        self._captures.ended(self, now)
        self._closed, self.wants = True, False
        if self.capture is not None:
            self.capture.end("complete", now, reason, code, answer)
        self.kept.clear()


NO_EDGE = CallEdge(None, Request("", Headers()), "websocket", 0.0)
"""The edge of connections that are never captured."""
