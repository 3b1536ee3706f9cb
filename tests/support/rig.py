"""A port over real sockets, in a time that the test decides."""

import socket
from http import HTTPStatus

from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from flowcore import Refused
from flowcore.addresses import Address
from flowcore.engine.sockets import listen
from nodes.net.grpc_connection import Service
from nodes.net.peer import Page, PeerConnection
from nodes.net.port import Limits, Port
from nodes.net.proxy_trust import ProxyTrust

HEADERS = (
    "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
)
UPGRADE = f"GET /?a=1 HTTP/1.1\r\n{HEADERS}\r\n".encode()
RATE = 128_000


class Recorder:
    """A peer that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.times: list[float] = []
        self.held_up: list[tuple[float, float, int]] = []  # since, until, and how many messages came late
        self.asked: list[float] = []
        self.reasons: list[str] = []
        self.connection: PeerConnection | None = None
        self.reading = True

    def opened(self, connection: PeerConnection) -> None:
        self.connection = connection

    def wants_read(self, now: float) -> bool:
        self.asked.append(now)
        return self.reading

    def late_messages(self, messages: list[bytes], since: float, until: float) -> None:
        self.held_up.append((since, until, len(messages)))
        self.messages_received(messages, until)

    def messages_received(self, messages: list[bytes], now: float) -> None:
        for data in messages:
            self.heard.append(data)
            self.times.append(now)
            if data == b"find a mistake":
                raise ZeroDivisionError
            if data == b"hang up" and self.connection is not None:
                self.connection.close(1008, "as you say")
                return

    def closed(self, reason: str) -> None:
        self.reasons.append(reason)


class Rig:
    """A port that listens, its peers in order of arrival, and a clock in the hand of the test."""

    def __init__(
        self,
        connections: int = 100,
        proxy_trust: ProxyTrust = ProxyTrust(),  # noqa: B008  # it is frozen
        rate: float = RATE,
        service: Service | None = None,
    ) -> None:
        self.proxy_trust = proxy_trust
        self.peers: list[Recorder] = []
        self.callers: list[Address] = []
        self.rejected: list[str] = []
        self.details: list[str] = []
        self.full = False
        self.now = 100.0
        self.errors: list[Exception] = []
        page = Page(HTTPStatus.OK, b"hello", {"Content-Type": "text/html"})
        self.port = Port(
            {"/": self.route, "/page": lambda request, caller: page},
            Limits(connections, 5.0, rate),
            on_error=self.errors.append,
            proxy_trust=proxy_trust,
            on_rejected=self.reject,
            service=service,
        )
        self.number = self.port.listen(listen("127.0.0.1", 0))
        self.clients: list[socket.socket] = []

    def route(self, request: Request, caller: Address) -> Recorder:
        self.callers.append(caller)
        if self.full:
            raise Refused("busy", retry_after=7)
        self.peers.append(Recorder())
        return self.peers[-1]

    def reject(self, reason: str, address: Address, detail: str = "", /) -> None:
        self.rejected.append(reason)
        self.details.append(detail)

    def slots(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += 0.020
            self.port.poll(lambda: self.now)

    def connect(self, request: bytes = b"", slots: int = 1) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.number))
        client.settimeout(30)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is sent is there for the next slot
        self.clients.append(client)
        client.sendall(request)
        self.slots(slots)
        return client

    def call(self) -> tuple[socket.socket, Recorder]:
        client = self.connect(UPGRADE)
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        return client, self.peers[-1]


def text(data: bytes) -> bytes:
    return Frame(Opcode.TEXT, data).serialize(mask=True)


def close_code(data: bytes) -> int:
    assert data[0] == 0x88
    return int.from_bytes(data[2:4], "big")
