"""A call over WebSocket as RingCX makes it, with optional faults, and errors that name the fix."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import CLOSE_CODE_EXPLANATIONS
from websockets.sync.client import connect

from flowcore import CannotStart, FlowcoreError, Packet
from nodes.audio.g711 import RATE
from nodes.ringcx.call_sender import CallSender, Dialect
from nodes.ringcx.call_transport import CallTransport

CLOSE_TIMEOUT = 5.0
"""Seconds that the receiver has to close its side; half of the time that the engine gives a flow to end."""

SLOW_MESSAGE = 0.03
"""Seconds that a slow message takes, in which a call in real time sends three."""

FRAGMENTS = 3
"""Fragments of a slow message."""


class WebSocketClient:
    """One WebSocket. Raises `CannotStart` without an answer, `FlowcoreError` when the receiver hangs up."""

    def __init__(self, url: str) -> None:
        self._shown = url.partition("?")[0]  # the query may hold credentials
        self._stack = contextlib.ExitStack()
        try:
            self._socket = self._stack.enter_context(
                connect(url, compression=None, proxy=None, ping_interval=None, close_timeout=CLOSE_TIMEOUT)
            )
        except InvalidURI:
            raise CannotStart(f"{self._shown} is no WebSocket address: write ws://HOST:PORT/", field="url") from None
        except InvalidStatus as error:
            status = error.response.status_code
            raise CannotStart(f"{self._shown} refuses the call with HTTP status {status}", field="url") from None
        except (OSError, InvalidHandshake) as error:
            fix = "start a receiver there, or correct the address"
            if isinstance(error, ssl.SSLCertVerificationError):
                fix = "RingCX would not trust it either; SSL_CERT_FILE=FILE names one more to trust here"
            elif isinstance(error, ssl.SSLError):
                fix = "write ws:// for a receiver without TLS"
            raise CannotStart(f"no call to {self._shown} ({error}): {fix}", field="url") from None

    def send(self, message: bytes) -> None:
        """Send one text message; blocks while the receiver does not read."""
        with self._explain_close():
            self._socket.send(message, text=True)

    def send_slowly(self, message: bytes, pieces: int, seconds: float) -> None:
        """Send one text message in ``pieces`` fragments, over ``seconds``."""
        size = max(1, -(-len(message) // pieces))

        def fragments() -> Iterator[bytes]:
            for at in range(0, max(1, len(message)), size):
                yield message[at : at + size]
                time.sleep(seconds / pieces)

        with self._explain_close():
            self._socket.send(fragments(), text=True)

    def hang_up(self) -> None:
        """Run the closing handshake, which waits for the receiver."""
        self._socket.close()
        if self._socket.close_code not in (1000, 1001):
            raise self._closed_error()

    def reset(self) -> None:
        """Reset the connection, without a closing handshake."""
        with contextlib.suppress(OSError):  # the receiver closed first
            self._socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close_socket()

    def close(self) -> None:
        """Release the connection, in any state."""
        self._stack.close()

    @contextlib.contextmanager
    def _explain_close(self) -> Iterator[None]:
        try:
            yield
        except ConnectionClosed:
            raise self._closed_error() from None

    def _closed_error(self) -> FlowcoreError:
        code = self._socket.close_code or 1006
        meaning = self._socket.close_reason or CLOSE_CODE_EXPLANATIONS.get(code, "")
        return FlowcoreError(f"{self._shown} ended the call with {code} {meaning}".rstrip())


class WebSocketTransport(CallTransport):
    """Sends Connected, Start, the media as it comes and a Stop for each party, then hangs up.

    See `nodes.ringcx.call_sender.CallSender` for ``attributes``.
    """

    garbage = (
        "hello",
        "",
        "{",
        "null",
        "[" * 2000,
        '{"event": 7}',
        '{"event": "Media"}',
        '{"event": "Media", "perspective": "Nobody", "sequenceId": "1", "media": "AAAA"}',
        '{"event": "Media", "perspective": "Participant", "sequenceId": "one", "media": "AAAA"}',
        '{"event": "Media", "perspective": "Participant", "sequenceId": "1", "media": "!!!"}',
        '{"event": "Media", "perspective": "Conference", "sequenceId": "1", "media": ""}',
        '{"event": "DTMF", "digits": "1234"}',
        '{"event": "Start", "metadata": {"callId": "another"}}',
        '{"event": "Connected"}',
    )
    """Bad, unknown or unexpected messages."""

    def __init__(self, url: str, attributes: Mapping[str, str], dialect: Dialect) -> None:
        self.attributes = dict(attributes)
        self._url = url
        self._dialect: Dialect = dialect
        self._sender: CallSender
        self._client: WebSocketClient
        self._opened = contextlib.ExitStack()  # the client
        self._seconds: dict[str, float] = {}  # audio of each party in this session
        self._slow = 0  # messages that remain to be sent slowly

    def begin(self) -> None:
        self._seconds = {"agent": 0.0, "customer": 0.0}
        self._sender = CallSender(self.attributes, self._dialect)
        self._client = WebSocketClient(self._sender.request_url(self._url))
        self._opened.callback(self._client.close)
        self._client.send(self._sender.connected())
        self._client.send(self._sender.start())

    def media(self, packet: Packet) -> None:
        self._seconds[packet.track] += len(packet.data) / RATE
        self._send(self._sender.media(packet.track, packet.data, packet.seq))

    def end(self, stops: int = 2) -> None:
        ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for seconds in list(self._seconds.values())[:stops]:
            self._send(self._sender.stop(round(seconds), ended))
        self._client.hang_up()

    def close(self) -> None:
        self._opened.close()

    def prepare(self, kinds: Collection[str]) -> None:
        if "dialect" in kinds:
            self._dialect = "upper"

    def begin_without_start(self) -> None:
        """Make a connection before the call that sends Stop and never Start."""
        sender = CallSender(self.attributes, self._dialect)
        with contextlib.closing(WebSocketClient(sender.request_url(self._url))) as client:
            client.send(sender.connected())
            client.send(sender.stop(0, "2021-01-14T00:00:00Z"))
            client.hang_up()
        self.begin()

    def hold(self, seconds: float, announced: bool) -> None:  # the protocol has no hold messages
        time.sleep(seconds)

    def send_garbage(self, name: str) -> None:
        self._send(name.encode())

    def slow_down(self, seconds: float) -> None:
        self._slow = round(seconds / SLOW_MESSAGE)

    def fall_silent(self) -> None:
        """Do nothing: the library goes on answering pings."""

    def reset(self) -> None:
        self._client.reset()

    def _send(self, message: bytes) -> None:
        if self._slow:
            self._slow -= 1
            self._client.send_slowly(message, FRAGMENTS, SLOW_MESSAGE)
        else:
            self._client.send(message)
