"""One WebSocket connection under examination: accepts everything."""

from __future__ import annotations

from websockets.http11 import Request

from nodes.doctor.probe import Probe, Setup
from nodes.doctor.websocket_examination import WebSocketExamination
from nodes.net.peer import PeerConnection
from nodes.ringcx.arrival_times import estimate_arrivals

PING_AFTER = 1.0
"""Seconds after which the doctor sends a ping."""

CLOSE_AFTER = 10.0
"""Seconds without a message after a Stop until the doctor closes: a peer that closes by itself has done so by then."""


class WebSocketProbe(Probe):
    """A `nodes.net.peer.Peer` that accepts everything."""

    examination: WebSocketExamination

    def __init__(self, request: Request, client: str, setup: Setup) -> None:
        super().__init__(request, client, setup, WebSocketExamination(request, client, setup.now(), setup.credentials))
        self.open = False
        """Whether the connection was accepted; if not, the request was not for a WebSocket."""
        self._connection: PeerConnection  # once `opened` was called
        self._pinged = self._closing = False

    @property
    def description(self) -> str:
        """A description of a request that was no call."""
        path = self._request.path.partition("?")[0]
        return f"{self._request.method} {path[:80]} from {self._client}, which is not a WebSocket request"

    def opened(self, connection: PeerConnection) -> None:
        self._connection = connection
        self.open = True

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
        for data in messages:
            self.take(data, now)

    def late_messages(self, messages: list[bytes], since: float, until: float) -> None:
        for message, at in estimate_arrivals(messages, since, until):
            self.take(message, at)

    def closed(self, reason: str) -> None:
        close, frames = self._connection.websocket.close_received, self._connection.websocket.other_frames
        self.conclude(
            reason,
            "doctor" if self._closing or self._interrupted else "peer",
            close.code if close is not None else None,
            answers_pings=bool(frames.get("pong")) if self._pinged else None,
            pings=frames.get("ping", 0),
            unusual_frames={name: count for name, count in frames.items() if name not in ("ping", "pong", "close")},
        )
