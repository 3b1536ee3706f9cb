"""One connection under examination: accepts, examines and records every message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.http11 import Request

from nodes.doctor.call_recorder import CallRecorder
from nodes.doctor.examine import Examination
from nodes.net.peer import PeerConnection
from nodes.ringcx.arrival_times import estimate_arrivals
from nodes.ringcx.credentials import Credentials

PING_AFTER = 1.0
"""Seconds after which the doctor sends a ping."""

INTERRUPTED = "interrupted"
"""The end of a connection that was still open when the doctor was stopped."""

CLOSE_AFTER = 10.0
"""Seconds without a message after a Stop until the doctor closes: a peer that closes by itself has done so by then."""


class Probe:
    """A `nodes.net.peer.Peer` that accepts everything.

    ``open_recorder`` opens the recording, if there is to be one. ``tell`` receives short progress texts for the user.
    """

    def __init__(
        self,
        request: Request,
        client: str,
        *,
        now: Callable[[], float],
        credentials: Credentials | None,
        open_recorder: Callable[[], CallRecorder | None],
        tell: Callable[[str], None],
    ) -> None:
        self._now = now
        self._client = client
        self._opened_at = self._heard_at = now()
        self.examination = Examination(request, client, self._opened_at, credentials)
        self.open = False
        """Whether the connection was accepted; if not, the request was not for a WebSocket."""
        self.saved: Path | None = None
        self.over = False
        self._request = request
        self._open_recorder = open_recorder
        self._recorder: CallRecorder | None = None
        self._tell = tell
        self._connection: PeerConnection  # once `opened` was called
        self._pinged = self._closing = self._interrupted = self._audio_reported = False

    @property
    def description(self) -> str:
        """A description of a request that was no call."""
        path = self._request.path.partition("?")[0]
        return f"{self._request.method} {path[:80]} from {self._client}, which is not a WebSocket request"

    def opened(self, connection: PeerConnection) -> None:
        self._connection = connection
        self.open = True
        try:
            self._recorder = self._open_recorder()
        except OSError as error:
            self._tell(f"nothing is recorded: {error.filename}: {error.strerror}")
        if self._recorder is not None:
            self._recorder.begin(self._request, self._opened_at)
        self._tell("a connection is open")

    def wants_read(self, now: float) -> bool:
        connection = self._connection
        if not self._pinged and now - self._opened_at >= PING_AFTER:
            self._pinged = True
            connection.websocket.ping()
        if self.examination.stops and now - self._heard_at >= CLOSE_AFTER and not self._closing:
            self._closing = True
            connection.close(1000)
        return True

    def messages_received(self, messages: list[bytes], now: float) -> None:
        self._heard_at = now
        for data in messages:
            self.examination.receive(data, now)
            if self._recorder is not None:
                self._recorder.message(data, now)
        if self.examination.seconds and not self._audio_reported:
            self._audio_reported = True
            self._tell("audio flows")

    def late_messages(self, messages: list[bytes], since: float, until: float) -> None:
        for message, at in estimate_arrivals(messages, since, until):
            self.messages_received([message], at)

    def interrupt(self) -> None:
        """Note that the doctor stops, so that the end that follows is not the peer's."""
        self._interrupted = self._closing = True

    def closed(self, reason: str) -> None:
        close, frames = self._connection.websocket.close_received, self._connection.websocket.other_frames
        code = close.code if close is not None else None
        stopped = self.examination.last_stop
        facts: dict[str, Any] = {
            "by": "doctor" if self._closing else "peer",
            "how": INTERRUPTED if self._interrupted else reason,
            "code": code,
            "seconds_after_last_message": round(self._now() - self._heard_at, 3),
            "seconds_after_last_stop": round(self._now() - stopped, 3) if stopped else None,
            "answers_pings": bool(frames.get("pong")) if self._pinged else None,
            "pings": frames.get("ping", 0),
            "unusual_frames": {name: count for name, count in frames.items() if name not in ("ping", "pong", "close")},
        }
        self.examination.end(facts)
        if self._recorder is not None:
            self.saved = self._recorder.close(reason, code, self._now())
            if self._recorder.error:
                self._tell(self._recorder.error)
        self.over = True
        self._tell("the connection has ended")
