"""A sender's WebSocket connection to a receiver, with errors that name the fix."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Iterator

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import CLOSE_CODE_EXPLANATIONS
from websockets.sync.client import connect

from flowcore import CannotStart, FlowcoreError

CLOSE_TIMEOUT = 5.0
"""Seconds that the receiver has to close its side; half of the time that the engine gives a flow to end."""


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
        """Release the connection, whatever its state."""
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
