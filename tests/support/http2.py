"""A gRPC service that writes down what it hears, and an HTTP/2 client whose bytes are sent when the test decides."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived

from nodes.net.grpc_connection import Handler, Service, Status
from nodes.net.grpc_framing import frame
from nodes.net.peer import Page
from tests.support.rig import Rig

IDLE = 30.0
METHOD = "/test.Service/Listen"
USUAL = (
    (":method", "POST"), (":path", METHOD), (":scheme", "http"), (":authority", "x"),
    ("content-type", "application/grpc"),
)  # fmt: skip
"""The headers of a request of gRPC."""


class Listener:
    """A `Handler` that takes what comes while ``reading``, and sends what the test puts into ``answers``."""

    def __init__(self) -> None:
        self.status: Status | None = None
        self.answers: deque[bytes] = deque()
        self.heard: list[bytes] = []
        self.reasons: list[str] = []
        self.details: list[str] = []
        self.reading = True

    def wants_read(self, now: float) -> bool:
        return self.reading

    def receive(self, data: bytes, now: float) -> None:
        self.heard.append(data)
        if data == b"find a mistake":
            raise ZeroDivisionError

    def poll(self, now: float) -> None:
        pass

    def finish(self) -> None:
        self.status = "OK", ""

    def end(self, reason: str, detail: str = "") -> None:
        self.reasons.append(reason)
        self.details.append(detail)


class Stage:
    """The service of a rig. ``refusal`` is raised instead of opening a stream."""

    def __init__(self, **limits: Any) -> None:
        self.listeners: list[Listener] = []
        self.refusal: Exception | None = None
        self.draining = False
        limits = {"max_connections": 10, "idle_timeout": IDLE} | limits
        self.rig: Rig
        self.service = Service(
            {METHOD: self._open},
            {"/healthz": lambda request, client: Page(HTTPStatus.OK, b"ok\n")},
            lambda request, address: address,
            lambda reason, address, detail="": self.rig.reject(reason, address, detail),
            lambda error: self.rig.errors.append(error),
            lambda: self.draining,
            **limits,
        )

    def _open(self, request: Any, client: Any) -> Handler:
        if self.refusal is not None:
            raise self.refusal
        self.listeners.append(Listener())
        return self.listeners[-1]


class Client:
    """One connection. ``answers`` holds the headers, trailers and data of each stream; ``ended`` those that ended."""

    def __init__(self, rig: Rig, connect: bool = True) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.rig = rig
        self.socket = rig.connect()
        self.headers: dict[int, dict[str, str]] = {}
        self.data: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.reset: set[int] = set()
        self.lost = False
        if connect:
            self.pump()

    def open(self, headers: Iterable[tuple[str, str]] = (), *, path: str = METHOD, end: bool = False) -> int:
        stream = self.h2.get_next_available_stream_id()
        usual = [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "x")]
        self.h2.send_headers(stream, [*usual, ("content-type", "application/grpc"), *headers], end_stream=end)
        self.pump()
        return stream

    def get(self, path: str, method: str = "GET") -> int:
        stream = self.h2.get_next_available_stream_id()
        usual = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x")]
        self.h2.send_headers(stream, usual, end_stream=True)
        self.pump()
        return stream

    def say(self, stream: int, *messages: bytes, end: bool = False) -> None:
        self.h2.send_data(stream, b"".join(map(frame, messages)), end_stream=end)
        self.pump()

    def pump(self, slots: int = 2) -> None:
        """Send what waits, run slots, and take what came."""
        self.socket.sendall(self.h2.data_to_send())
        for _ in range(slots):
            self.rig.slots()
            self.take()

    def take(self) -> None:
        self.socket.setblocking(False)
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        finally:
            self.socket.settimeout(30)
        self.lost = self.lost or not data
        for event in self.h2.receive_data(data):
            if isinstance(event, (ResponseReceived, TrailersReceived)):
                self.headers.setdefault(event.stream_id, {}).update(event.headers)
            elif isinstance(event, DataReceived):
                self.data[event.stream_id] = self.data.get(event.stream_id, b"") + event.data
            elif isinstance(event, StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, StreamReset):
                self.reset.add(event.stream_id)
