"""A TCP port whose WebSocket connections are polled once a slot, instead of waking up for each packet.

No task, no queue and no callback of the event loop: a slot reads the bytes that each socket has, at once, and passes
the messages on by plain calls. Handshakes, pings, answers and closing go the same way.

A `Port` knows paths. The `Route` of a path answers a request with a `Page`, or with a `Peer` that receives the
connection's messages. So pages and other protocols can join on the same port: see `nodes.net.site`.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from websockets.http11 import Request

from flowcore import Refused, open_files
from flowcore.addresses import Address, normalize_address
from flowcore.metrics import Metric
from nodes.net.connection import Connection, HandshakeBudget
from nodes.net.grpc_connection import Service
from nodes.net.peer import LISTENER_FAILED, Page, Peer, Route
from nodes.net.proxy_trust import ConflictingHeaders, ProxyTrust
from nodes.net.rejection import OnRejected, ignore

CONNECTIONS = Metric("flowcore_connections", "gauge", "Open connections of the port, also those that are no calls.")

MAX_ACCEPTS = 64
"""Connections accepted in one slot at most, unless ``accept_limit`` says less."""

HANDSHAKE_STEPS = 8
"""Steps of TLS handshakes in a slot, as calls wait for them: each handshake costs 1 to 2 ms in its two steps.

At 20 ms a slot 1,000 handshakes are done in the 5 s that each may take: `tools/tls_cost.py` measures.
"""

KEPT_HANDSHAKES = 16
"""Handshakes that go on when open files are short, so that calls which come together do not end each other's."""

RECEIVE_BUFFER = 128 * 1024
"""Bytes that the kernel holds for a connection that is not read: 4 s of a call."""


@dataclass(frozen=True)
class Limits:
    """Resources that connections may take: their number, seconds for the handshake, bytes a second from each."""

    connections: int
    handshake: float
    rate: float


class Port:
    """The listening socket and its connections. ``accept_limit`` returns how many more to accept in a slot.

    ``fallback`` is the route of all paths that are not in ``routes``; without it they are answered 404. ``service``
    takes clients that speak HTTP/2; without it they are turned away.
    ``proxy_trust`` tells how clients reach the port. ``on_rejected`` is called for each connection that is turned away
    before its route, or asks its route in a wrong way. When the code raises on a connection's bytes, only that
    connection ends, and ``on_error`` is called with the exception.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        limits: Limits,
        accept_limit: Callable[[], int] = lambda: MAX_ACCEPTS,
        on_error: Callable[[Exception], None] = lambda error: None,
        proxy_trust: ProxyTrust = ProxyTrust(),  # noqa: B008  # it is frozen
        on_rejected: OnRejected = ignore,
        fallback: Route | None = None,
        service: Service | None = None,
    ) -> None:
        self.connections: list[Connection] = []
        self._limits = limits
        self._budget = HandshakeBudget(HANDSHAKE_STEPS)
        self._proxy_trust = proxy_trust
        self._on_rejected = on_rejected
        self._routes = routes
        self._fallback = fallback
        self._service = service
        self._accept_limit = accept_limit
        self._on_error = on_error
        self._listening: socket.socket | None = None
        self._left = False
        self._handshaking: list[Connection] = []  # few, of the many connections that are polled

    def listen(self, listening: socket.socket) -> int:
        """Accept connections from this socket, which other processes may share. Return its port number."""
        self._listening = listening
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)  # connections inherit it
        return int(listening.getsockname()[1])

    def leave(self) -> None:
        """Close the listening socket, from which another process accepts now. Open connections stay."""
        self._left = True
        if self._listening is not None:
            self._listening.close()

    @property
    def handshaking(self) -> bool:
        """Whether there are connections whose request has not come yet."""
        return any(not (one.answered or one.gone) for one in self._handshaking)

    def poll(self, now: Callable[[], float]) -> None:
        """Run one slot: accept connections, then read and write all. ``now`` returns monotonic seconds."""
        self._budget.steps = HANDSHAKE_STEPS
        if not self._left:
            self._accept(now())
        if len(self._handshaking) > HANDSHAKE_STEPS:
            # Established calls first, then handshakes, least-crowded address first.
            crowd = Counter(one.remote_address for one in self._handshaking)
            self.connections.sort(key=lambda one: 0 if one.answered else crowd[one.remote_address])
        for connection in self.connections:
            # The time is read anew: a node of the call before may have held us up, and later bytes came later.
            try:
                connection.poll(now())
            except Exception as error:  # a defect that one peer's bytes reveal must not end the calls of the others
                self._on_error(error)
                connection.abort(LISTENER_FAILED)
        self.connections = [connection for connection in self.connections if not connection.gone]

    def close(self) -> None:
        """Send a close frame (1001) to all peers without waiting for theirs, and close all sockets."""
        if self._listening is not None:
            self._listening.close()
        for connection in self.connections:
            connection.go_away()
        self.connections = []

    def _accept(self, now: float) -> None:
        limits = self._limits
        self._handshaking = [one for one in self._handshaking if not (one.answered or one.gone)]
        room: open_files.Room | None = None  # looked up only in slots in which somebody connects
        strangers = self._strangers()
        taken = 0
        for _ in range(min(self._accept_limit(), limits.connections - len(self._handshaking))):
            try:
                accepted, address = self._listening.accept()  # type: ignore[union-attr]  # listening comes first
            except OSError:  # none waits, another process took it, or no descriptor is left: the next slot tries
                break
            remote_address = normalize_address(address[0])
            room = room or open_files.room()
            stranger = next(strangers, None) if room.strangers <= taken else None
            if stranger is not None:
                stranger.abort()
                self._on_rejected("open_files", stranger.remote_address)
            elif room.refusals > taken:
                taken += 1
            else:
                accepted.close()
                self._on_rejected("open_files", remote_address)
                continue
            if self._proxy_trust.accepts(remote_address):
                certificate = self._proxy_trust.certificate
                connection = Connection(
                    accepted,
                    remote_address,
                    now,
                    handler=self._answer,
                    on_rejected=self._on_rejected,
                    service=self._service,
                    budget=self._budget,
                    tls=None if certificate is None else certificate.connection(),
                    handshake_timeout=limits.handshake,
                    rate=limits.rate,
                )
                self.connections.append(connection)
                self._handshaking.append(connection)
            else:
                accepted.close()
                self._on_rejected("no_trusted_proxy", remote_address)
        over = len(self.connections) - 2 * limits.connections
        if over > 0:  # rejected connections that are still closing hold file handles too
            for closing in [one for one in self.connections if one.answered and not one.has_peer][:over]:
                closing.abort()

    def _strangers(self) -> Iterator[Connection]:
        """Yield connections without a peer that may be closed: of the most crowded address first, the oldest first."""
        strangers = [one for one in self.connections if not one.has_peer]
        crowd = Counter(one.remote_address for one in strangers)
        yield from sorted(strangers, key=lambda one: -crowd[one.remote_address])[:-KEPT_HANDSHAKES]

    def _answer(self, request: Request, remote_address: Address) -> Peer | Page:
        """Find the peer or page for a request. Raises `KeyError` for a path without a route, and `Refused`."""
        path = request.path.partition("?")[0]
        route = self._fallback if self._fallback and path not in self._routes else self._routes[path]
        try:
            client = self._proxy_trust.client_address(remote_address, request.headers)
        except ConflictingHeaders:
            self._on_rejected("proxy_contradicts_itself", remote_address)
            return Page(HTTPStatus.BAD_REQUEST, b"X-Forwarded-For and Forwarded name different callers.\n")
        if sum(connection.has_peer for connection in self.connections) >= self._limits.connections:
            self._on_rejected("too_many_connections", remote_address)
            raise Refused("too many connections", retry_after=1)
        return route(request, client)
