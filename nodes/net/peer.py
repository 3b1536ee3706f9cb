"""What stands behind a path of a port: a page, or somebody who hears of a connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from websockets.http11 import Request

from nodes.net.proxy_trust import Address

if TYPE_CHECKING:
    from nodes.net.connection import Connection


class Peer(Protocol):
    """Who hears of one connection. None of these may raise or wait."""

    def opened(self, connection: Connection) -> None:
        """The handshake is done."""

    def wants(self, now: float) -> bool:
        """Called once a slot: whether to read now. Time limits are kept here too: what came by ``now`` was heard."""

    def messages(self, messages: list[bytes], now: float) -> None:
        """Whole messages, in order. After a ``close`` of its own it ignores the rest of them."""

    def late(self, messages: list[bytes], since: float, until: float) -> None:
        """Likewise, for what came between these times while this process was held up."""

    def closed(self, reason: str) -> None:
        """No message follows; ``reason`` is one of `WebSocket.ended` or `MISTAKE`. Called once, whoever closed."""


@dataclass(frozen=True)
class Page:
    """An answer of plain HTTP; the connection ends behind it."""

    status: HTTPStatus
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/plain; charset=utf-8"})


Route = Callable[[Request, Address], Peer | Page]
"""Decides on a request and who makes it; raises `Refused` to answer 503."""
