"""One connection under examination: whatever comes is heard, recorded and let be."""

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
"""Seconds after which the peer is asked whether it answers pings."""

INTERRUPTED = "interrupted"
"""How a connection ended that was still there when the doctor was told to stop."""

GOODBYE = 10.0
"""Seconds without a message after a Stop, after which the doctor closes: who wanted to has done it by then."""


class Probe:
    """A `nodes.net.peer.Peer` that never objects. ``tape`` makes a recording, if there is to be one; ``tell`` is told
    what happens, in short texts for people.
    """

    def __init__(
        self,
        request: Request,
        caller: str,
        *,
        now: Callable[[], float],
        credentials: Credentials | None,
        tape: Callable[[], CallRecorder | None],
        tell: Callable[[str], None],
    ) -> None:
        self._now = now
        self._caller = caller
        self._began = self._heard = now()
        self.examination = Examination(request, caller, self._began, credentials)
        self.open = False
        """Whether the connection was accepted; else what came was no request for a WebSocket."""
        self.saved: Path | None = None
        self.over = False
        self._request = request
        self._new_tape = tape
        self._tape: CallRecorder | None = None
        self._tell = tell
        self._connection: PeerConnection | None = None
        self._pinged = self._closing = self._interrupted = self._talking = False

    @property
    def wanted(self) -> str:
        """What was asked for, for a request that was no call."""
        path = self._request.path.partition("?")[0]
        return f"{self._request.method} {path[:80]} from {self._caller}, which is no request for a WebSocket"

    def opened(self, connection: PeerConnection) -> None:
        self._connection = connection
        self.open = True
        try:
            self._tape = self._new_tape()
        except OSError as error:
            self._tell(f"nothing is recorded: {error.filename}: {error.strerror}")
        if self._tape is not None:
            self._tape.begin(self._request, self._began)
        self._tell("a connection is open")

    def wants_read(self, now: float) -> bool:
        connection = self._connection
        if connection is None:
            return True
        if not self._pinged and now - self._began >= PING_AFTER:
            self._pinged = True
            connection.websocket.ping()
        if self.examination.stops and now - self._heard >= GOODBYE and not self._closing:
            self._closing = True
            connection.close(1000)
        return True

    def messages_received(self, messages: list[bytes], now: float) -> None:
        self._heard = now
        for data in messages:
            self.examination.hear(data, now)
            if self._tape is not None:
                self._tape.message(data, now)
        if self.examination.seconds and not self._talking:
            self._talking = True
            self._tell("audio flows")

    def late_messages(self, messages: list[bytes], since: float, until: float) -> None:
        for message, at in estimate_arrivals(messages, since, until):
            self.messages_received([message], at)

    def interrupt(self) -> None:
        """The doctor stops: the end that follows is not the peer's."""
        self._interrupted = self._closing = True

    def closed(self, reason: str) -> None:
        websocket = self._connection.websocket if self._connection is not None else None
        close = websocket.close_received if websocket is not None else None
        code = close.code if close is not None else None
        frames = dict(websocket.other_frames) if websocket is not None else {}
        stopped = self.examination.last_stop
        facts: dict[str, Any] = {
            "by": "doctor" if self._closing else "peer",
            "how": INTERRUPTED if self._interrupted else reason,
            "code": code,
            "seconds_after_last_message": round(self._now() - self._heard, 3),
            "seconds_after_last_stop": round(self._now() - stopped, 3) if stopped else None,
            "answers_pings": bool(frames.get("pong")) if self._pinged else None,
            "pings": frames.get("ping", 0),
            "unusual_frames": {name: count for name, count in frames.items() if name not in ("ping", "pong", "close")},
        }
        self.examination.end(facts)
        if self._tape is not None:
            self.saved = self._tape.close(reason, code, self._now())
            if self._tape.trouble:
                self._tell(self._tape.trouble)
        self.over = True
        self._tell("the connection has ended")
