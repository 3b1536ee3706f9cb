"""The handlers behind a path of a port: a page of plain HTTP, or a peer that receives a connection's messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from websockets.http11 import Request

from flowcore.addresses import Address
from nodes.net.websocket import WebSocket

LISTENER_FAILED = "listener_failed"
"""The close reason of a connection, or of a stream, whose bytes or peer made the code raise."""


class Closable(Protocol):
    """A connection that can be closed; enough for a peer that only listens."""

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake. The peer receives no further messages."""


class PeerConnection(Closable, Protocol):
    """The operations of a connection that are open to its peer."""

    websocket: WebSocket
    """The WebSocket, for its pings, frame counts and close code."""

    calls: int
    """Calls that the connection carries, each with a rate of its own."""

    @property
    def unsent(self) -> int:
        """Bytes that wait for the remote end to read. A peer that sends only at 0 keeps the backlog bounded."""

    def send(self, text: bytes) -> None:
        """Send one text message. Does nothing once the connection is closing."""


class Peer(Protocol):
    """The receiver of one connection's messages. No method may raise or block."""

    def opened(self, connection: PeerConnection) -> None:
        """The handshake has succeeded."""

    def wants_read(self, now: float) -> bool:
        """Called once a slot: enforce time limits, and return whether to read now. Messages up to ``now`` were read."""

    def messages_received(self, messages: list[bytes], now: float) -> None:
        """Receive whole messages, in order. After its own ``close`` the peer ignores the rest of them."""

    def late_messages(self, messages: list[bytes], since: float, until: float) -> None:
        """Receive messages that came between these times, while this process was held up."""

    def closed(self, reason: str) -> None:
        """No message follows. ``reason`` is a `WebSocket.end_reason` or `LISTENER_FAILED`. Called exactly once."""


@dataclass(frozen=True)
class Page:
    """A plain HTTP response; the connection ends after it."""

    status: HTTPStatus
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/plain; charset=utf-8"})


Route = Callable[[Request, Address], Peer | Page]
"""Handles a request from a client address. Raises `Refused` to answer 503, and `KeyError` to answer 404."""
