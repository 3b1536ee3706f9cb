"""The client end of one gRPC stream that only sends, for a thread that may block."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from flowcore import CannotStart, FlowcoreError

MAX_QUEUED = 20
"""Messages between the sender and the connection: a second of a call."""

TIMEOUT = 5.0
"""Seconds to connect, and for the answer to the end; half of the time that the engine gives a flow to end."""

POLL_INTERVAL = 0.2
"""Seconds between two checks whether the stream has ended, while it accepts no message."""

ADDRESS = re.compile(r"(?:(grpcs?|https?)://)?(\[[0-9a-fA-F:.]+\]|[^/:\[\]\s]+):(\d{1,5})/?")
"""An address: scheme, host, port."""


class Stream:
    """One call of ``method`` at ``url``. ``ca`` is an authority to trust instead of the public ones.

    ``via`` is an address (HOST:PORT) of a relay to connect to instead, which leads to ``url``.
    Raises `CannotStart` when there is no connection. Messages are sent no faster than the receiver reads.
    """

    def __init__(
        self, url: str, method: str, *, authorization: str = "", ca: Path | None = None, via: str = ""
    ) -> None:
        self._url = url
        self._messages: queue.Queue[bytes | None] = queue.Queue(MAX_QUEUED)
        self._channel = _connect(url, ca, via)
        metadata = [("authorization", authorization)] if authorization else None
        self._call: Any = self._channel.stream_unary(method).future(self._outgoing(), metadata=metadata)

    def send(self, message: bytes | None) -> None:
        """Queue a message, and block while the queue is full. None ends the stream.

        Raises `FlowcoreError` when the call has ended.
        """
        while True:
            if self._call.done():
                self._check(0)
            try:
                self._messages.put(message, timeout=POLL_INTERVAL)
            except queue.Full:
                continue
            return

    def finish(self) -> None:
        """End the stream, and wait for the answer. Raises `FlowcoreError` when it is an error."""
        self.send(None)
        self._check(TIMEOUT)

    def flush(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds until gRPC has taken all queued messages."""
        end = time.monotonic() + timeout
        while not self._messages.empty() and not self._call.done() and time.monotonic() < end:
            time.sleep(POLL_INTERVAL / 10)

    def cancel(self) -> None:
        """Cancel the stream at once."""
        self._call.cancel()

    def close(self) -> None:
        """Close the connection; an open stream is cancelled."""
        self._call.cancel()
        self._channel.close()

    def _outgoing(self) -> Iterator[bytes]:
        """Yield the messages to gRPC, which iterates in a thread of its own."""
        while True:
            try:
                message = self._messages.get(timeout=POLL_INTERVAL)
            except queue.Empty:
                if self._call.done():  # cancelled: no last message will come
                    return
                continue
            if message is None:
                return
            yield message

    def _check(self, timeout: float) -> None:
        try:
            self._call.result(timeout)
        except grpc.FutureTimeoutError:
            raise FlowcoreError(f"{self._url} did not answer the end of the call") from None
        except grpc.RpcError:
            code, text = self._call.code().name, self._call.details()
            raise FlowcoreError(f"{self._url} ended the call with {code} {text}".rstrip()) from None


def host_and_port(url: str) -> tuple[str, int]:
    """Return the host and port of ``url``. Raises `CannotStart` when it is no address."""
    match = _parse(url)
    return match[2].strip("[]"), int(match[3])


def _parse(url: str) -> re.Match[str]:
    match = ADDRESS.fullmatch(url)
    if match is None:
        raise CannotStart(f"{url} is no address of a gRPC server: write grpc://HOST:PORT", field="url")
    return match


def _connect(url: str, ca: Path | None, via: str) -> Any:
    match = _parse(url)
    target = f"{match[2]}:{match[3]}"
    options: list[tuple[str, int | str]] = [("grpc.enable_http_proxy", 0)]
    if via:
        options += [("grpc.default_authority", target), ("grpc.ssl_target_name_override", match[2].strip("[]"))]
        target = via
    if match[1] in ("grpcs", "https"):
        try:
            trusted = ca.expanduser().read_bytes() if ca else None
        except OSError as error:
            raise CannotStart(f"cannot read {ca}: {error.strerror}", field="ca") from error
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(trusted), options)
    else:
        channel = grpc.insecure_channel(target, options)
    if not _connects(channel):
        channel.close()
        fix = "start a receiver there, correct the address, or write grpcs:// for one with TLS"
        raise CannotStart(f"no call to {url}: {fix}", field="url")
    return channel


def _connects(channel: grpc.Channel) -> bool:
    """Wait for the outcome of the first attempt; gRPC itself would retry for ever."""
    decided = threading.Event()
    ready = False

    def on_state(state: grpc.ChannelConnectivity) -> None:
        nonlocal ready
        ready = ready or state is grpc.ChannelConnectivity.READY
        if ready or state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            decided.set()

    channel.subscribe(on_state, try_to_connect=True)
    decided.wait(TIMEOUT)
    channel.unsubscribe(on_state)
    return ready
