"""One call at a time in a test's hands, and what its recording has to be."""

from __future__ import annotations

import contextlib
import socket
import ssl
import wave
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from nodes.ringcx.call_sender import CallSender
from tools.load import frame, mulaw, samples

MESSAGE = 160
OPEN: list[Phone] = []
"""Hung up at the end of each test: see conftest.py."""


def stereo(path: Path):
    """The samples of a recording, shape (frames, 2)."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)


def said(call: int, seconds: float):
    """What both parties of a call of the load generator said."""
    return np.stack([samples(call, track, seconds) for track in ("agent", "customer")], axis=1)


def knock(
    url: str, *, headers: str = "", tls: ssl.SSLContext | None = None, source: str = ""
) -> tuple[socket.socket, bytes]:
    """Ask for the upgrade, from the address ``source``; the connection, and the head of the answer."""
    address = urlsplit(url)
    connection = socket.create_connection(
        (address.hostname, address.port), timeout=30, source_address=(source, 0) if source else None
    )
    if tls is not None:
        connection = tls.wrap_socket(connection, server_hostname="localhost")
    connection.sendall(
        f"GET {address.path or '/'}?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        f"{headers}\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer and (data := connection.recv(4096)):
        answer += data
    return connection, answer


class Phone:
    """One call's socket in the test's hands, once it was let in. ``tls`` is for wss://."""

    def __init__(
        self, url: str, call: str = "one", *, headers: str = "", tls: ssl.SSLContext | None = None, **attributes: str
    ) -> None:
        self.socket, answer = knock(url, headers=headers, tls=tls)
        self.sender = CallSender({"call_id": call, "session_id": "1", **attributes})
        OPEN.append(self)
        assert b" 101 " in answer

    def say(self, *messages: bytes) -> None:
        self.socket.sendall(b"".join(frame(message) for message in messages))

    def start(self) -> None:
        self.say(self.sender.connected(), self.sender.start())

    def talk(self, call: int, seconds: float) -> None:
        """Both parties' audio, as fast as it is taken, in one piece: what we came late with would be a pause."""
        parts = {track: mulaw(call, track, seconds) for track in ("agent", "customer")}
        places = range(0, len(parts["agent"]), MESSAGE)
        self.say(*(self.sender.media(track, parts[track][at : at + MESSAGE]) for at in places for track in parts))

    def stop(self) -> None:
        self.say(*[self.sender.stop(1, "2026-01-01T00:00:00Z")] * 2)

    def hang_up(self) -> None:
        """The closing handshake, then the end of the stream."""
        with contextlib.suppress(ConnectionError):  # an engine that has had its calls may be gone already
            self.socket.sendall(frame((1000).to_bytes(2, "big"), opcode=8))
            while self.socket.recv(4096):
                pass
        self.socket.close()
