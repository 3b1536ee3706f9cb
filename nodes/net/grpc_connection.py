"""gRPC on one HTTP/2 connection of a port: runs a handler for each stream, with the status that ends it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from websockets.datastructures import Headers
from websockets.http11 import Request

from flowcore import Refused
from flowcore.addresses import Address
from nodes.net.grpc_framing import ENCODINGS, Code, Framing, GrpcError, frame, status_headers
from nodes.net.http2 import MAX_HEADERS, MAX_STREAMS, UPDATE_SIZE, Http2
from nodes.net.peer import LISTENER_FAILED, Page, PeerConnection, Route
from nodes.net.rejection import OnRejected

Status = tuple[Code, str]

CONTENT_TYPE = "application/grpc"

HEADER_OVERHEAD = 32
"""Bytes that HTTP/2 adds to the length of each header (RFC 9113, 6.5.2)."""

GOAWAY_GRACE = 1.0
"""Seconds after the GOAWAY in which a connection without streams stays: streams that the peer opened before it has read
the GOAWAY are on their way (RFC 9113, 6.8)."""

ANSWER_TIMEOUT = 5.0
"""Seconds that the peer has to make room for the last answers; then the stream ends without them."""

_FAILED: Final[Status] = "INTERNAL", "the receiver failed"


class Handler(Protocol):
    """The receiver of one stream's messages. No method may raise or block."""

    status: Status | None
    """The status with which to end the stream, once it is not to be read any more, and a text for the peer."""

    answers: deque[bytes]
    """Messages to send. A stream that ends with OK and sent none sends an empty one."""

    def wants_read(self, now: float) -> bool:
        """Return whether to receive the next message now."""

    def receive(self, data: bytes, now: float) -> None:
        """Receive a message."""

    def poll(self, now: float) -> None:
        """Run one slot: enforce time limits, and set ``status``."""

    def finish(self) -> None:
        """The peer has sent all its messages: set ``status``, now or in a later `poll`."""

    def end(self, reason: str, detail: str = "") -> None:
        """The stream is gone. Called exactly once, whichever side ended it. ``detail`` says how it broke gRPC."""


Method = Callable[[Request, Address], Handler]
"""Opens a stream for a client address. Raises `GrpcError`, and `Refused` for UNAVAILABLE."""


@dataclass
class Service:
    """The gRPC side of a port: ``methods`` by path, and ``pages`` for probes over HTTP/2.

    ``client_address`` finds a request's client; it raises `GrpcError`. When the code raises on a stream, only that
    stream ends, and ``on_error`` is called with the exception. ``max_connections`` may be open at once, each without a
    stream for ``idle_timeout`` seconds. ``draining`` returns whether new streams should go elsewhere.
    """

    methods: Mapping[str, Method]
    pages: Mapping[str, Route]
    client_address: Callable[[Request, Address], Address]
    on_rejected: OnRejected
    on_error: Callable[[Exception], None]
    draining: Callable[[], bool]
    max_connections: int
    idle_timeout: float
    connections: int = 0
    """Connections that are open."""


class GrpcConnection:
    """The streams of one connection. A `nodes.net.peer.Peer` whose messages are HTTP/2's events."""

    def __init__(self, http2: Http2, service: Service, remote_address: Address, now: float) -> None:
        self._http2 = http2
        self._service = service
        self._remote_address = remote_address
        self._streams: dict[int, _Stream] = {}
        self._idle_since = self._now = now
        self._going = False
        self._going_since = 0.0
        self._explained = False  # a request came, or the connection was rejected
        self._connection: PeerConnection

    def opened(self, connection: PeerConnection) -> None:
        self._connection = connection
        self._service.connections += 1
        if self._service.connections > self._service.max_connections:
            self._explained = True
            self._service.on_rejected("too_many_connections", self._remote_address)
            connection.close(1013)

    def wants_read(self, now: float) -> bool:
        self._now = now
        for number, stream in tuple(self._streams.items()):
            self._run(number, stream.poll, now)
        if not self._going and self._service.draining():
            self._going, self._going_since = True, now
            self._http2.announce_end()
        leaves = self._going and now - self._going_since >= GOAWAY_GRACE
        if not self._streams and (leaves or now - self._idle_since >= self._service.idle_timeout):
            self._connection.close(1001)
        return True

    def messages_received(self, messages: list[Any], now: float) -> None:
        for event in messages:
            if isinstance(event, DataReceived):
                self._http2.received(event.flow_controlled_length)
            if isinstance(event, RequestReceived):
                self._open(event)
            elif isinstance(event, (DataReceived, StreamEnded, StreamReset)) and event.stream_id in self._streams:
                stream = self._streams[event.stream_id]
                if isinstance(event, DataReceived):
                    self._run(event.stream_id, stream.receive, now, event.data or b"", event.flow_controlled_length)
                elif isinstance(event, StreamEnded):
                    self._run(event.stream_id, stream.finish, now)
                else:
                    self._run(event.stream_id, stream.cancel, now)

    def late_messages(self, messages: list[Any], since: float, until: float) -> None:
        self.messages_received(messages, until)

    def closed(self, reason: str) -> None:
        self._service.connections -= 1
        if reason == "peer_broke_protocol":
            self._service.on_rejected("bad_http2", self._remote_address, self._http2.error)
        elif not self._explained and not self._going:
            self._service.on_rejected("no_request", self._remote_address, "it opened no stream of HTTP/2")
        for number, stream in tuple(self._streams.items()):
            self._run(number, stream.lose, self._now, reason)

    def _run(self, number: int, step: Callable[..., None], now: float, *arguments: Any) -> None:
        """Do a step of a stream, and forget the stream once it is over."""
        stream = self._streams[number]
        try:
            step(now, *arguments)
        except Exception as error:  # a defect that one call's bytes reveal must not end the others of its connection
            self._service.on_error(error)
            stream.abort()
        if stream.over:
            del self._streams[number]
            self._connection.calls = max(1, len(self._streams))
            self._idle_since = now

    def _open(self, event: RequestReceived) -> None:
        self._explained = True
        number = event.stream_id
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
        pseudo = {name: value for name, value in fields if name.startswith(":")}
        headers = Headers([field for field in fields if not field[0].startswith(":")])
        request = Request(pseudo.get(":path", ""), headers, pseudo.get(":method", ""))
        if not headers.get("content-type", "").startswith(CONTENT_TYPE):
            self._show_page(number, request)
            return
        encoding = headers.get("grpc-encoding", "identity")
        try:
            if sum(len(name) + len(value) + HEADER_OVERHEAD for name, value in fields) > MAX_HEADERS:
                self._service.on_rejected("long_metadata", self._remote_address)
                raise GrpcError("RESOURCE_EXHAUSTED", f"the metadata is longer than {MAX_HEADERS} bytes")
            if len(self._streams) >= MAX_STREAMS:
                self._service.on_rejected("too_many_connections", self._remote_address)
                raise GrpcError("UNAVAILABLE", f"a connection takes {MAX_STREAMS} streams")
            if encoding not in ENCODINGS:
                raise GrpcError("UNIMPLEMENTED", f"this port takes {', '.join(ENCODINGS)}")
            method = self._service.methods.get(request.path)
            if method is None:
                self._service.on_rejected("unknown_path", self._remote_address)
                raise GrpcError("UNIMPLEMENTED", f"this port takes {', '.join(self._service.methods)}")
            handler = method(request, self._service.client_address(request, self._remote_address))
        except Refused as refused:
            self._refuse(number, "UNAVAILABLE", refused.reason)
        except GrpcError as error:
            self._refuse(number, error.code, error.text)
        except Exception as error:  # as in `_run`
            self._service.on_error(error)
            self._refuse(number, *_FAILED)
        else:
            self._streams[number] = _Stream(self._http2, number, handler, encoding)
            self._connection.calls = len(self._streams)

    def _refuse(self, number: int, code: Code, text: str) -> None:
        self._http2.send_headers(number, [*_RESPONSE, *status_headers(code, text)], end=True)
        self._http2.reset(number)

    def _show_page(self, number: int, request: Request) -> None:
        route = self._service.pages.get(request.path.partition("?")[0])
        found = route(request, self._remote_address) if route and request.method in ("GET", "HEAD") else None
        if not isinstance(found, Page):
            self._service.on_rejected("not_grpc", self._remote_address)
            found = Page(HTTPStatus.NOT_FOUND, b"Over HTTP/2 this port takes gRPC only.\n")
        headers = [(name.lower(), value) for name, value in found.headers.items()]
        body = b"" if request.method == "HEAD" else found.body
        self._http2.send_headers(number, [(":status", str(int(found.status))), *headers], end=not body)
        if body:
            self._http2.send(number, body, end=True)


class _Stream:
    """One stream and its handler. ``over`` says that it has ended."""

    def __init__(self, http2: Http2, number: int, handler: Handler, encoding: str) -> None:
        self.over = False
        self._handler = handler
        self._http2 = http2
        self._number = number
        self._framing = Framing(encoding)
        self._waiting: deque[bytes] = deque()  # messages that the handler does not want yet, up to a window
        self._unprocessed = 0  # bytes that the peer does not know to be processed
        self._finished = self._answered = False
        self._answer_by = float("inf")  # when the stream ends, although answers could not be sent

    def receive(self, now: float, data: bytes, size: int) -> None:
        """Take bytes of the stream, which count ``size`` in its window."""
        self._unprocessed += size
        try:
            for message in self._framing.receive(data):
                self._waiting.append(message)
        except GrpcError as error:
            self._fail(error, now)
        else:
            self.poll(now)

    def finish(self, now: float) -> None:
        """Note that the peer sends no more."""
        self._finished = True
        if self._framing.incomplete:
            self._fail(GrpcError("INTERNAL", "the last message is cut"), now)
        else:
            self.poll(now)

    def cancel(self, now: float) -> None:
        """End the stream because the peer reset it."""
        self.lose(now, "cancelled")

    def lose(self, now: float, reason: str, detail: str = "") -> None:
        """End the stream for the handler, after the messages that waited: none of them may be lost."""
        self._pass_on(now, wanted=True)
        self._end(reason, detail)

    def abort(self) -> None:
        """End the stream because our code raised."""
        self._end(LISTENER_FAILED)
        self._send_status(*_FAILED)

    def poll(self, now: float) -> None:
        """Run one slot."""
        handler = self._handler
        if self.over:
            return
        if self._waiting:
            self._pass_on(now)
        if not self._waiting:
            if self._unprocessed >= UPDATE_SIZE:
                self._http2.processed(self._number, self._unprocessed)
                self._unprocessed = 0
            if self._finished and handler.status is None:
                handler.finish()
        handler.poll(now)
        if handler.answers or handler.status:
            self._answer(now)

    def _end(self, reason: str, detail: str = "") -> None:
        if not self.over:
            self.over = True
            self._handler.end(reason, detail)

    def _pass_on(self, now: float, *, wanted: bool = False) -> None:
        """Pass waiting messages on, as long as the handler wants them, or is made to take them by ``wanted``."""
        handler, waiting = self._handler, self._waiting
        while waiting and handler.status is None and (wanted or handler.wants_read(now)):
            handler.receive(waiting.popleft(), now)

    def _fail(self, error: GrpcError, now: float) -> None:
        """End the stream for an error in its bytes, after the messages before it."""
        self._pass_on(now, wanted=True)
        status = self._handler.status or (error.code, error.text)
        self._end("peer_broke_protocol", error.text)
        self._send_status(*status)

    def _answer(self, now: float) -> None:
        handler = self._handler
        status = handler.status
        if status == ("OK", "") and not (self._answered or handler.answers):
            handler.answers.append(b"")
        if handler.answers and not self._answered:
            self._answered = True
            self._http2.send_headers(self._number, _RESPONSE)
        while handler.answers and self._http2.send(self._number, frame(handler.answers[0])):
            handler.answers.popleft()
        if status is None:
            return
        self._answer_by = min(self._answer_by, now + ANSWER_TIMEOUT)
        if not handler.answers or now >= self._answer_by:
            self._end("stop")
            self._send_status(*status)

    def _send_status(self, code: Code, text: str) -> None:
        trailers = status_headers(code, text)
        self._http2.send_headers(self._number, trailers if self._answered else [*_RESPONSE, *trailers], end=True)
        if not self._finished:
            self._http2.reset(self._number)  # which stops the peer (RFC 9113, 8.1)


_RESPONSE = ((":status", "200"), ("content-type", CONTENT_TYPE))
