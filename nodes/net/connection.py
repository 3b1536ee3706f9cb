"""One connection of a port: its socket, read and written once a slot, its WebSocket and its peer."""

from __future__ import annotations

import socket
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING

from flowcore import Refused
from nodes.net.kernel import prepare, unread
from nodes.net.peer import Page, Peer
from nodes.net.proxy_trust import Address
from nodes.net.tls import WRONG_PORT
from nodes.net.websocket import WebSocket

if TYPE_CHECKING:
    from nodes.net.port import Port

READ = 16 * 1024
"""Bytes that one connection is read at most in one slot, which bounds what it can cost the others."""

FRAME = 256
"""Bytes that a frame counts at least against the rate of its connection, as small ones cost as much work."""

BURST = 2.0
"""Seconds of its rate that a connection may save up, for what a stall of the network or of this process held back.

What was earned is looked up only once the savings are spent, so that a short burst may have it twice.
"""

STALL = 0.15
"""Seconds between two looks at a connection; if more, this process was held up, and messages are dated back."""

CLOSING = 5.0
"""Seconds that a peer has to do its part of closing, before the socket is closed without it."""

ASK = 9.0
"""Seconds between two looks whether a peer has said anything; one that has not is asked (ping)."""

SILENT = 3
"""So many looks in a row at a silent peer mean that it is gone, if it has ever answered a ping: within 36 s. A proxy
in between keeps TCP alive for it, and a call on hold says nothing for long; whoever never answers is not judged."""


class Connection:
    """One socket with its WebSocket and its peer."""

    def __init__(self, accepted: socket.socket, remote_address: Address, port: Port, now: float) -> None:
        self.gone = False
        """The socket is closed."""
        self.answered = False
        """The handshake is over, for better or worse."""
        self.remote_address = remote_address
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
        self._looked = now  # what is read next came after this
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
        since, self._looked = self._looked, now
        # After a stall of our own, limits are kept by the time up to which all was read, if anything came since.
        limit = since if now - since > STALL and unread(self._socket) else now
        wanted = self._peer is None or self._peer.wants(limit)
        # A peer that does not read what we answer is not read either: answers could pile up without end.
        if wanted and not self._unsent and self._credit > 0:
            self._read(now, since)
        else:
            self._silent = 0  # it may well have said something
        if now >= self._ask_at:
            self._ask(now)
        if self._websocket.has_output or self._unsent:
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

    def _read(self, now: float, since: float) -> None:
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
        if now - since > STALL:
            # What one read has no room for came later.
            self._looked = until = since + (now - since) * size / (size + unread(self._socket))
            if messages and not self._closing:
                peer.late(messages, since, until)
        elif messages and not self._closing:
            peer.messages(messages, now)
        if websocket.has_output and websocket.ended:
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
                self._port.turned_away("bad_tls", self.remote_address)
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
                found = self._port.answer(websocket.request, self.remote_address)
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
