"""A TCP port whose WebSocket connections are polled once a slot, instead of waking up for each packet.

No task, no queue and no callback of the event loop: a slot reads what each socket has, at once, and hands the
messages on by plain calls. Handshakes, pings, answers and closing go the same way.

A `Port` knows paths; what stands behind a path (`Route`) answers a request with a `Page`, or takes the connection and
hears of it through a `Peer`. So pages and other protocols can join on the same port: see `nodes.net.site`.
"""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from websockets.http11 import Request

from flowcore import Refused
from nodes.net.front import Address, Contradiction, Front, plain
from nodes.net.kernel import prepare
from nodes.net.tls import WRONG_PORT
from nodes.net.websocket import WebSocket

READ = 16 * 1024
"""Bytes that one connection is read at most in one slot, which bounds what it can cost the others."""

FRAME = 256
"""Bytes that a frame counts at least against the rate of its connection, as small ones cost as much work."""

BURST = 2.0
"""Seconds of its rate that a connection may save up, for what a stall of the network or of this process held back.

What was earned is looked up only once the savings are spent, so that a short burst may have it twice.
"""

CLOSING = 5.0
"""Seconds that a peer has to do its part of closing, before the socket is closed without it."""

ACCEPTS = 64
"""Connections taken in one slot at most, if nobody says less."""

HANDSHAKES = 8
"""Steps of TLS handshakes in a slot, as calls wait for them: each handshake costs 1 to 2 ms in its two steps.

At 20 ms a slot 1,000 are done in the 5 s that each may take: `tools/tls_cost.py` measures.
"""

RECEIVE_BUFFER = 128 * 1024
"""Bytes that the kernel holds for a connection that is not read: 4 s of a call."""

ASK = 9.0
"""Seconds between two looks whether a peer has said anything; one that has not is asked (ping)."""

SILENT = 3
"""So many looks in a row at a silent peer mean that it is gone, if it has ever answered a ping: within 36 s. A proxy
in between keeps TCP alive for it, and a call on hold says nothing for long; whoever never answers is not judged."""

MISTAKE = "listener_failed"
"""The reason for the end of a connection that found a mistake in the code."""


class Peer(Protocol):
    """Who hears of one connection. None of these may raise or wait."""

    def opened(self, connection: Connection) -> None:
        """The handshake is done."""

    def wants(self, now: float) -> bool:
        """Called once a slot: whether to read now. Time limits are kept here too."""

    def messages(self, messages: list[bytes], now: float) -> None:
        """Whole messages, in order. After a ``close`` of its own it ignores the rest of them."""

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
        front: Front = Front(),  # noqa: B008  # it is frozen
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
            crowd = Counter(one.neighbour for one in self._shaking)
            self.connections.sort(key=lambda one: 0 if one.answered else crowd[one.neighbour])
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
            neighbour = plain(address[0])
            if self.front.meets(neighbour):
                connection = Connection(accepted, neighbour, self, now)
                self.connections.append(connection)
                self._shaking.append(connection)
            else:
                accepted.close()
                self.turned_away("no_trusted_proxy", neighbour)
        if len(self.connections) > 2 * limit:  # those that were turned away and linger take file handles all the same
            over = len(self.connections) - 2 * limit
            for lingering in [one for one in self.connections if one.answered and not one.taken][:over]:
                lingering.drop()

    def answer(self, request: Request, neighbour: Address) -> Peer | Page:
        """Who takes this request, or what answers it. Raises `KeyError` for a path without a route, and `Refused`."""
        route = self._routes[request.path.partition("?")[0]]
        try:
            caller = self.front.caller(neighbour, request.headers)
        except Contradiction:
            self.turned_away("proxy_contradicts_itself", neighbour)
            return Page(HTTPStatus.BAD_REQUEST, b"X-Forwarded-For and Forwarded name different callers.\n")
        if sum(connection.taken for connection in self.connections) >= self.limits.connections:
            raise Refused("too many connections", retry_after=1)
        return route(request, caller)


class Connection:
    """One socket with its WebSocket and its peer."""

    def __init__(self, accepted: socket.socket, neighbour: Address, port: Port, now: float) -> None:
        self.gone = False
        """The socket is closed."""
        self.answered = False
        """The handshake is over, for better or worse."""
        self.neighbour = neighbour
        """The address at the other end: a caller, or a proxy that brings one."""
        self._socket = accepted
        self._port = port
        certificate = port.front.certificate
        self._tls = None if certificate is None else certificate.connection()
        self._websocket = WebSocket()
        self._peer: Peer | None = None
        self._unsent = bytearray()
        self._eof = False
        self._closing = False
        self._deadline = now + port.limits.handshake
        self._credit = BURST * port.limits.rate
        self._earned = now
        self._ask_at = now + ASK
        self._frames = 0  # that had come at the last look
        self._silent = 0  # looks since the last word
        prepare(accepted)

    @property
    def websocket(self) -> WebSocket:
        """What is known of the connection beside its messages."""
        return self._websocket

    @property
    def taken(self) -> bool:
        """Somebody hears of it: it was not turned away, and has not ended."""
        return self._peer is not None

    def poll(self, now: float) -> None:
        """One slot of this connection."""
        if now >= self._deadline:
            self.drop()
            return
        if self._credit <= 0:
            self._earn(now)
        wanted = self._peer is None or self._peer.wants(now)
        # A peer that does not read what we answer is not read either: answers could pile up without end.
        if wanted and not self._unsent and self._credit > 0:
            self._read(now)
        else:
            self._silent = 0  # it may well have said something
        if now >= self._ask_at:
            self._ask(now)
        if self._websocket.stirred or self._unsent:
            self._write(now)

    def _ask(self, now: float) -> None:
        websocket = self._websocket
        answers = websocket.unusual["pong"] > 0
        self._ask_at = now + ASK
        self._silent = self._silent + 1 if websocket.frames == self._frames else 0
        self._frames = websocket.frames
        if self._silent >= SILENT and answers and websocket.open:
            self.drop()
        elif self._silent or not answers:
            websocket.ping()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the peer to read: send no more while there are any, and the wait is bounded."""
        return len(self._unsent)

    def send(self, text: bytes) -> None:
        """Send one message of text. Nothing happens once the connection closes."""
        self._websocket.send(text)

    def close(self, code: int, reason: str = "") -> None:
        """Start closing; the peer has `CLOSING` seconds to answer. Its messages are no longer handed on."""
        self._closing = True
        self._websocket.close(code, reason)

    def abandon(self) -> None:
        """Close at once, with a goodbye (1001) as far as the socket takes it."""
        self._websocket.close(1001)
        self._write(self._earned)
        self.drop()

    def _read(self, now: float) -> None:
        if self._tls is not None and not self._tls.shaken and not self._port.handshakes:
            return
        try:
            data = b"" if self._tls is not None and self._tls.ended else self._socket.recv(READ)
        except BlockingIOError:
            return
        except OSError:  # reset, or found dead by TCP keepalive
            self.drop()
            return
        websocket = self._websocket
        if not data:
            websocket.receive_eof()
            self.drop()
            return
        size = len(data)
        if self._tls is not None:
            data = self._decrypt(data)
        frames = websocket.frames
        messages = websocket.receive(data) if data else []
        self._credit -= max(size, FRAME * (websocket.frames - frames))
        if not self.answered and (websocket.request is not None or websocket.finished):
            self._answer()
            messages = websocket.receive(b"")  # what came behind the request
        peer = self._peer
        if peer is None:
            return
        if messages and not self._closing:
            peer.messages(messages, now)
        if websocket.stirred and websocket.ended:
            self._tell(websocket.ended)

    def _decrypt(self, data: bytes) -> bytes:
        tls = self._tls
        assert tls is not None  # noqa: S101  # for the type checker
        shaking = not tls.shaken
        try:
            data = tls.receive(data)
        except ssl.SSLError as error:
            self._port.handshakes -= shaking
            if not self.answered:
                self._port.turned_away("bad_tls", self.neighbour)
            self._unsent += WRONG_PORT if error.reason == "HTTP_REQUEST" else tls.output()
            self._flush()
            self.drop()
            return b""
        answer = tls.output()  # of the handshake: a piece of a step has none, and costs nothing
        self._port.handshakes -= shaking and bool(answer)
        self._unsent += answer
        return data

    def _earn(self, now: float) -> None:
        rate = self._port.limits.rate
        self._credit = min(self._credit + rate * (now - self._earned), BURST * rate)
        self._earned = now

    def _answer(self) -> None:
        websocket = self._websocket
        if websocket.request is not None and not websocket.finished:
            try:
                found = self._port.answer(websocket.request, self.neighbour)
            except KeyError:
                websocket.refuse(HTTPStatus.NOT_FOUND, "Nothing is here: calls come to the path /.")
            except Refused as refused:
                retry = {"Retry-After": str(max(1, round(refused.retry_after)))}
                websocket.refuse(HTTPStatus.SERVICE_UNAVAILABLE, refused.reason, retry)
            else:
                if isinstance(found, Page) and websocket.request.method == "GET":
                    websocket.answer(found.status, found.body, found.headers)
                elif websocket.accept() and not isinstance(found, Page):
                    self._peer = found
                    self._deadline = float("inf")
                    found.opened(self)
        self.answered = True

    def _write(self, now: float) -> None:
        for data in self._websocket.output():
            if self._tls is None:
                self._unsent += data
            else:
                self._tls.send(data)
            self._eof = self._eof or not data
        if self._tls is not None:
            self._unsent += self._tls.output()
        if self._unsent:
            self._flush()
        if self.answered and not self._websocket.open and self._deadline == float("inf"):
            self._deadline = now + CLOSING
        if self._eof and not self._unsent and not self.gone:
            self._eof = False
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:  # the peer was faster
                self.drop()

    def _flush(self) -> None:
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.drop()

    def drop(self, reason: str = "") -> None:
        """Close the socket without a word, for ``reason`` or the one that the peer gave."""
        if not self.gone:
            self.gone = True
            self._socket.close()
            self._tell(reason or self._websocket.ended or "peer_lost")

    def _tell(self, reason: str) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.closed(reason)
