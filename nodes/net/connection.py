"""One connection of a port: its socket, read and written once a slot, its WebSocket or HTTP/2, and its peer."""

from __future__ import annotations

import fcntl
import socket
import ssl
import struct
import termios
from http import HTTPStatus
from typing import Any

from flowcore import Refused
from flowcore.addresses import Address
from nodes.net.grpc_connection import GrpcConnection, Service
from nodes.net.http2 import PREFACE, Http2
from nodes.net.peer import Page, Peer, Route
from nodes.net.rejection import MAX_PREFIX, OnRejected, foreign_protocol
from nodes.net.tls import PLAIN_HTTP_ANSWER, TlsConnection, explain
from nodes.net.websocket import WebSocket

MAX_READ = 16 * 1024
"""Bytes read from one connection in one slot at most, which bounds its cost to the others."""

MIN_FRAME_COST = 256
"""Bytes that a frame counts at least against the rate of its connection, as small frames cost as much work."""

BURST = 2.0
"""Seconds of its rate that a connection may save up, for bytes that a stall of the network or this process held back.
The bucket refills lazily, so a burst may reach 2 x `BURST`."""

STALL_THRESHOLD = 0.15
"""Seconds between two polls of a connection above which this process was held up: messages are dated back."""

CLOSE_TIMEOUT = 5.0
"""Seconds that a peer has to finish the closing handshake, before the socket is closed without it."""

PING_INTERVAL = 9.0
"""Seconds between two checks of a peer. A peer that sent no frame since the last check gets a ping."""

MAX_SILENT_CHECKS = 3
"""Silent checks in a row after which a peer is gone: within 36 s. WebSocket peers that never answered a ping are
exempt. A proxy in between keeps TCP alive for a dead peer, and a call on hold sends nothing for long."""

KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4))
"""Seconds, seconds, probes: a peer that vanished is detected within 30 s."""

UNACKNOWLEDGED_TIMEOUT = 30_000
"""Milliseconds that sent bytes may stay unacknowledged or unread by the peer (TCP_USER_TIMEOUT)."""


class HandshakeBudget:
    """The TLS handshake steps that remain in this slot, shared by the connections of a port."""

    def __init__(self, steps: int) -> None:
        self.steps = steps


class Connection:
    """One socket with its WebSocket and its peer. A `nodes.net.peer.PeerConnection`.

    ``handler`` finds the peer or page for the request, ``service`` takes clients that speak HTTP/2. ``on_rejected`` is
    called when the connection ends without one of them, unless the peer left before it sent anything.
    ``handshake_timeout`` is in seconds and ``rate`` in bytes a second.
    """

    def __init__(
        self,
        accepted: socket.socket,
        remote_address: Address,
        now: float,
        *,
        handler: Route,
        on_rejected: OnRejected,
        budget: HandshakeBudget,
        tls: TlsConnection | None,
        handshake_timeout: float,
        rate: float,
        service: Service | None = None,
    ) -> None:
        self.gone = False
        """Whether the socket is closed."""
        self.answered = False
        """Whether the handshake is over, successful or not."""
        self.remote_address = remote_address
        """The address at the other end: a client, or a proxy in front of one."""
        self.websocket = WebSocket()
        self.calls = 1
        """Calls that the connection carries, each with a rate of its own."""
        self._protocol: WebSocket | Http2 = self.websocket
        self._service = service
        self._early: bytes | None = b""  # the first plain bytes, as long as they may begin either protocol
        self._socket = accepted
        self._handler = handler
        self._on_rejected = on_rejected
        self._budget = budget
        self._tls = tls
        self._peer: Peer | None = None
        self._start = b""  # the first bytes, as received; those within TLS once its handshake is done
        self._unsent = bytearray()
        self._eof = False
        self._closing = False
        self._deadline = now + handshake_timeout
        self._rate = rate
        self._credit = BURST * rate
        self._refilled_at = now
        self._polled_at = now  # bytes that are read next came after this
        self._check_at = now + PING_INTERVAL
        self._frames = 0  # received up to the last check
        self._silent_checks = 0
        configure(accepted)

    @property
    def has_peer(self) -> bool:
        """Whether a peer receives the messages: the request was accepted, and the connection has not ended."""
        return self._peer is not None

    def poll(self, now: float) -> None:
        """Run one slot: enforce the deadlines, read, and write."""
        if now >= self._deadline:
            if not self.answered:
                self._reject("no_request", "its handshake took too long" if self._start else "it sent no request")
            self.abort()
            return
        if self._credit <= 0:
            self._refill(now)
        since, self._polled_at = self._polled_at, now
        # After a stall of this process, and with bytes unread, limits apply as of the time up to which all was read.
        limit = since if now - since > STALL_THRESHOLD and unread_bytes(self._socket) else now
        wanted = self._peer is None or self._peer.wants_read(limit)
        # A peer that does not read our answers is not read either: the answers could pile up without end.
        if wanted and not self._unsent and self._credit > 0:
            self._read(now, since)
        else:
            self._silent_checks = 0  # the peer may have sent something that we did not read
        if now >= self._check_at:
            self._check_alive(now)
        if self._protocol.has_output or self._unsent:
            self._write(now)

    def _check_alive(self, now: float) -> None:
        protocol = self._protocol
        answers = protocol.answers_pings
        self._check_at = now + PING_INTERVAL
        self._silent_checks = self._silent_checks + 1 if protocol.frames == self._frames else 0
        self._frames = protocol.frames
        if self._silent_checks >= MAX_SILENT_CHECKS and answers and protocol.open:
            self.abort()
        elif self._silent_checks or not answers:
            protocol.ping()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the remote end to read. A peer that sends only at 0 keeps the backlog bounded."""
        return len(self._unsent)

    def send(self, text: bytes) -> None:
        """Send one text message. Does nothing once the connection is closing."""
        self.websocket.send(text)

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake, for up to `CLOSE_TIMEOUT` seconds. The peer receives no further messages."""
        self._closing = True
        self._protocol.close(code, reason)

    def go_away(self) -> None:
        """Close at once, after the peer's last messages and a close frame (1001), as far as the socket takes them."""
        if self._peer is not None:
            self._peer.wants_read(self._polled_at)
        self._protocol.close(1001)
        self._write(self._refilled_at)
        self.abort()

    def _read(self, now: float, since: float) -> None:
        if self._tls is not None and not self._tls.handshake_done and not self._budget.steps:
            return
        try:
            data = b"" if self._tls is not None and self._tls.closed else self._socket.recv(MAX_READ)
        except BlockingIOError:
            return
        except OSError:  # reset, or found dead by TCP keepalive
            self._hung_up()
            return
        if not data:
            self._protocol.receive_eof()
            self._hung_up()
            return
        size = len(data)
        if not self.answered:
            data = self._first_bytes(data, now)
        elif self._tls is not None:
            data = self._decrypt(data)
        protocol = self._protocol
        frames = protocol.frames
        messages: list[Any] = protocol.receive(data) if data else []
        self._credit -= max(size, MIN_FRAME_COST * (protocol.frames - frames))
        if not self.answered and (self.websocket.request is not None or self.websocket.finished):
            self._answer()
            messages = self.websocket.receive(b"")  # frames that came behind the request
        peer = self._peer
        if peer is None:
            return
        if now - since > STALL_THRESHOLD:
            # Bytes that did not fit into this read came later.
            self._polled_at = until = since + (now - since) * size / (size + unread_bytes(self._socket))
            if messages and not self._closing:
                peer.late_messages(messages, since, until)
        elif messages and not self._closing:
            peer.messages_received(messages, now)
        if protocol.has_output and protocol.end_reason:
            self._notify_closed(protocol.end_reason)

    def _choose_protocol(self, data: bytes, now: float) -> bytes:
        """Return the bytes for the client's protocol, and no bytes as long as they may begin either."""
        data = (self._early or b"") + data
        if self._service is not None and not self.answered and PREFACE.startswith(data[:3]):
            if len(data) < 3:
                self._early = data
                return b""
            self._protocol = http2 = Http2()
            self._accept(GrpcConnection(http2, self._service, self.remote_address, now))
            self.answered = True
        self._early = None
        return data

    def _first_bytes(self, data: bytes, now: float) -> bytes:
        """Return the plain bytes of what came before the answer; tell the protocol by the way it begins."""
        tls = self._tls
        if tls is None or not tls.handshake_done:
            self._start += data[: MAX_PREFIX - len(self._start)]
        if tls is not None:
            handshaking = not tls.handshake_done
            data = self._decrypt(data)
            if not tls.handshake_done:
                return data
            self._start = b"" if handshaking else self._start  # those of the protocol within TLS count now
            self._start += data[: MAX_PREFIX - len(self._start)]
        if not self.answered:
            self._reject_foreign_protocol()
        return data if self._early is None else self._choose_protocol(data, now)

    def _decrypt(self, data: bytes) -> bytes:
        tls = self._tls
        assert tls is not None  # noqa: S101  # for the type checker
        handshaking = not tls.handshake_done
        try:
            data = tls.receive(data)
        except ssl.SSLError as error:
            self._budget.steps -= handshaking
            if not self.answered:
                proxied = foreign_protocol(self._start) == "proxy_protocol"
                self._reject("proxy_protocol") if proxied else self._reject("bad_tls", explain(error))
            self._unsent += PLAIN_HTTP_ANSWER if error.reason == "HTTP_REQUEST" else tls.output()
            self._flush()
            self.abort()
            return b""
        answer = tls.output()  # empty for an incomplete step of the handshake, which costs nothing
        self._budget.steps -= handshaking and bool(answer)
        self._unsent += answer
        return data

    def _refill(self, now: float) -> None:
        rate = self._rate * self.calls
        self._credit = min(self._credit + rate * (now - self._refilled_at), BURST * rate)
        self._refilled_at = now

    def _answer(self) -> None:
        websocket = self.websocket
        request = websocket.request
        if request is None or websocket.finished:
            self._reject(*websocket.refusal)
            return
        try:
            found = self._handler(request, self.remote_address)
        except KeyError:
            websocket.refuse(HTTPStatus.NOT_FOUND, "Nothing is here: calls come to another path.")
            self._reject("unknown_path" if "Upgrade" in request.headers else "no_upgrade")
        except Refused as refused:
            retry = {"Retry-After": str(max(1, round(refused.retry_after)))}
            websocket.refuse(HTTPStatus.SERVICE_UNAVAILABLE, refused.reason, retry)
        else:
            if isinstance(found, Page) and request.method in ("GET", "HEAD"):
                websocket.answer(found.status, found.body, found.headers)
            elif not websocket.accept():
                self._reject(*websocket.refusal)
            elif not isinstance(found, Page):
                self._accept(found)
        self.answered = True

    def _accept(self, peer: Peer) -> None:
        self._peer = peer
        self._deadline = float("inf")
        peer.opened(self)

    def _reject_foreign_protocol(self) -> None:
        """Refuse a connection that begins like another protocol at once: its bytes may never end a line."""
        reason = foreign_protocol(self._start)
        if reason and not (reason == "http2" and self._service):
            self.websocket.refuse(HTTPStatus.BAD_REQUEST, "This port takes WebSocket over HTTP/1.1.")
            self._reject(reason)

    def _hung_up(self) -> None:
        """Close the socket, because the peer did."""
        if not self.answered:
            if self._start:
                self._reject("no_request", "the peer left before its handshake was over")
            elif self._tls is not None and self._tls.handshake_done:
                hint = "" if self._service else ", as gRPC does that finds no HTTP/2"
                self._reject("no_request", f"the peer left after the TLS handshake{hint}")
        self.abort()

    def _reject(self, reason: str, detail: str = "") -> None:
        self.answered = True
        self._on_rejected(reason, self.remote_address, detail)

    def _write(self, now: float) -> None:
        for data in self._protocol.output():
            if self._tls is None:
                self._unsent += data
            else:
                self._tls.send(data)
            self._eof = self._eof or not data
        if self._tls is not None:
            self._unsent += self._tls.output()
        if self._unsent:
            self._flush()
        if self.answered and not self._protocol.open and self._deadline == float("inf"):
            self._deadline = now + CLOSE_TIMEOUT
        if self._eof and not self._unsent and not self.gone:
            self._eof = False
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:  # the peer was faster
                self.abort()

    def _flush(self) -> None:
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.abort()

    def abort(self, reason: str = "") -> None:
        """Close the socket without a closing handshake, for ``reason`` or the one that the remote end gave."""
        if not self.gone:
            self.gone = True
            self._socket.close()
            self._notify_closed(reason or self._protocol.end_reason or "peer_lost")

    def _notify_closed(self, reason: str) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.closed(reason)


def configure(accepted: socket.socket) -> None:
    """Set the options of an accepted connection."""
    accepted.setblocking(False)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        accepted.setsockopt(socket.IPPROTO_TCP, option, value)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_TIMEOUT)


def unread_bytes(connection: socket.socket) -> int:
    """Return the number of bytes in the kernel's receive buffer."""
    answer: tuple[int] = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))
    return answer[0]
