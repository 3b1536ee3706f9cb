"""A TCP port whose WebSocket connections are polled once a slot, instead of waking up for each packet.

No task, no queue and no callback of the event loop: a slot reads what each socket has, at once, and hands the
messages on by plain calls. Handshakes, pings, answers and closing go the same way.

A `Port` knows paths; what stands behind a path (`Route`) answers a request with a `Page`, or takes the connection and
hears of it through a `Peer`. So pages and other protocols can join on the same port: see `nodes.net.site`.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from websockets.http11 import Request

from flowcore import Refused
from nodes.net.connection import Connection
from nodes.net.peer import Page, Peer, Route
from nodes.net.proxy_trust import Address, Contradiction, ProxyTrust, plain

ACCEPTS = 64
"""Connections taken in one slot at most, if nobody says less."""

HANDSHAKES = 8
"""Steps of TLS handshakes in a slot, as calls wait for them: each handshake costs 1 to 2 ms in its two steps.

At 20 ms a slot 1,000 are done in the 5 s that each may take: `tools/tls_cost.py` measures.
"""

RECEIVE_BUFFER = 128 * 1024
"""Bytes that the kernel holds for a connection that is not read: 4 s of a call."""

MISTAKE = "listener_failed"
"""The reason for the end of a connection that found a mistake in the code."""


@dataclass(frozen=True)
class Limits:
    """What connections may take: how many, seconds for the handshake, bytes a second that each may send."""

    connections: int
    handshake: float
    rate: float


class Port:
    """The listening socket, and the connections it brought; ``room`` says how many more to take in a slot.

    ``front`` says how the world gets here, and ``turned_away`` is told why a connection got no further than that.
    A connection whose bytes or peer find a mistake in the code ends alone, and ``mistaken`` is told what was raised.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        limits: Limits,
        room: Callable[[], int] = lambda: ACCEPTS,
        mistaken: Callable[[Exception], None] = lambda error: None,
        front: ProxyTrust = ProxyTrust(),  # noqa: B008  # it is frozen
        turned_away: Callable[[str, Address], None] = lambda reason, address: None,
    ) -> None:
        self.connections: list[Connection] = []
        self.limits = limits
        self.front = front
        self.handshakes = HANDSHAKES
        """How many TLS handshakes may go on in this slot."""
        self.turned_away = turned_away
        self._routes = routes
        self._room = room
        self._mistaken = mistaken
        self._listening: socket.socket | None = None
        self._shaking: list[Connection] = []  # those whose handshake goes on: few, of the many that are looked at

    def listen(self, listening: socket.socket) -> int:
        """Take connections from this socket, which other processes may do as well; returns its port's number."""
        self._listening = listening
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)  # connections inherit it
        return int(listening.getsockname()[1])

    def poll(self, now: Callable[[], float]) -> None:
        """One slot: take new connections, read and write all of them. ``now`` gives monotonic seconds."""
        self.handshakes = HANDSHAKES
        self._accept(now())
        if len(self._shaking) > HANDSHAKES:  # calls first, and who comes alone before the crowd of one address
            crowd = Counter(one.remote_address for one in self._shaking)
            self.connections.sort(key=lambda one: 0 if one.answered else crowd[one.remote_address])
        for connection in self.connections:
            # Asked anew: a node of the call before may have held us up, and what is read then came later.
            try:
                connection.poll(now())
            except Exception as error:  # what one peer's bytes bring to light must not end the calls of the others
                self._mistaken(error)
                connection.drop(MISTAKE)
        self.connections = [connection for connection in self.connections if not connection.gone]

    def close(self) -> None:
        """Say goodbye (1001) to all peers without waiting for theirs, and close all sockets."""
        if self._listening is not None:
            self._listening.close()
        for connection in self.connections:
            connection.abandon()
        self.connections = []

    def _accept(self, now: float) -> None:
        limit = self.limits.connections
        self._shaking = [one for one in self._shaking if not (one.answered or one.gone)]
        for _ in range(min(self._room(), limit - len(self._shaking))):
            try:
                accepted, address = self._listening.accept()  # type: ignore[union-attr]  # listening comes first
            except OSError:  # none waits, another process took it, or no file handle is left: the next slot tries
                break
            remote_address = plain(address[0])
            if self.front.meets(remote_address):
                connection = Connection(accepted, remote_address, self, now)
                self.connections.append(connection)
                self._shaking.append(connection)
            else:
                accepted.close()
                self.turned_away("no_trusted_proxy", remote_address)
        if len(self.connections) > 2 * limit:  # those that were turned away and linger take file handles all the same
            over = len(self.connections) - 2 * limit
            for lingering in [one for one in self.connections if one.answered and not one.taken][:over]:
                lingering.drop()

    def answer(self, request: Request, remote_address: Address) -> Peer | Page:
        """Who takes this request, or what answers it. Raises `KeyError` for a path without a route, and `Refused`."""
        route = self._routes[request.path.partition("?")[0]]
        try:
            caller = self.front.caller(remote_address, request.headers)
        except Contradiction:
            self.turned_away("proxy_contradicts_itself", remote_address)
            return Page(HTTPStatus.BAD_REQUEST, b"X-Forwarded-For and Forwarded name different callers.\n")
        if sum(connection.taken for connection in self.connections) >= self.limits.connections:
            raise Refused("too many connections", retry_after=1)
        return route(request, caller)
