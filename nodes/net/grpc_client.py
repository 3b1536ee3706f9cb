"""The client's end of one gRPC stream that only sends, for one thread that may wait."""

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

AHEAD = 20
"""Messages between the sender and the connection: a second of a call."""

CLOSING = 5.0
"""Seconds to connect, and for the answer to the end; half of what the engine gives a flow to end."""

LOOK = 0.2
"""Seconds between two looks whether the stream has ended, while it takes no message."""

SHAPE = re.compile(r"(?:(grpcs?|https?)://)?(\[[0-9a-fA-F:.]+\]|[^/:\[\]\s]+):(\d{1,5})/?")
"""An address: scheme, host, port."""

SECURE = ("grpcs", "https")


class Stream:
    """One call of ``method`` at ``url``; ``ca`` is the authority to trust instead of the public ones, if any.

    ``by`` is an address (HOST:PORT) to connect to instead, which leads there.
    Raises `CannotStart` when there is no connection. Messages are sent no faster than the receiver reads.
    """

    def __init__(self, url: str, method: str, *, authorization: str = "", ca: Path | None = None, by: str = "") -> None:
        self._url = url
        self._messages: queue.Queue[bytes | None] = queue.Queue(AHEAD)
        self._channel = _connect(url, ca, by)
        metadata = [("authorization", authorization)] if authorization else None
        self._call: Any = self._channel.stream_unary(method).future(self._outgoing(), metadata=metadata)

    def send(self, message: bytes) -> None:
        """Raises `FlowcoreError` when the receiver has ended the call."""
        self._put(message)

    def finish(self) -> None:
        """Say that no message follows, and wait for the answer. Raises `FlowcoreError` when it is an error."""
        self._put(None)
        self._check(CLOSING)

    def settle(self, patience: float) -> None:
        """Wait up to so many seconds until gRPC has taken all that was sent."""
        end = time.monotonic() + patience
        while not self._messages.empty() and not self._call.done() and time.monotonic() < end:
            time.sleep(LOOK / 10)

    def cancel(self) -> None:
        """End it at once, as it is."""
        self._call.cancel()

    def close(self) -> None:
        """Let go of the connection; a stream that goes on is cancelled."""
        self._call.cancel()
        self._channel.close()

    def _outgoing(self) -> Iterator[bytes]:
        """What gRPC sends, in a thread of its own."""
        while True:
            try:
                message = self._messages.get(timeout=LOOK)
            except queue.Empty:
                if self._call.done():  # cancelled: nobody puts a last message
                    return
                continue
            if message is None:
                return
            yield message

    def _put(self, message: bytes | None) -> None:
        while True:
            if self._call.done():
                self._check(0)
            try:
                self._messages.put(message, timeout=LOOK)
            except queue.Full:
                continue
            return

    def _check(self, patience: float) -> None:
        try:
            self._call.result(patience)
        except grpc.FutureTimeoutError:
            raise FlowcoreError(f"{self._url} did not answer the end of the call") from None
        except grpc.RpcError:
            code, text = self._call.code().name, self._call.details()
            raise FlowcoreError(f"{self._url} ended the call with {code} {text}".rstrip()) from None


def host_and_port(url: str) -> tuple[str, int]:
    """Where ``url`` leads. Raises `CannotStart` when it is no address."""
    match = _parts(url)
    return match[2].strip("[]"), int(match[3])


def _parts(url: str) -> re.Match[str]:
    match = SHAPE.fullmatch(url)
    if match is None:
        raise CannotStart(f"{url} is no address of a gRPC server: write grpc://HOST:PORT", field="url")
    return match


def _connect(url: str, ca: Path | None, by: str) -> Any:
    match = _parts(url)
    target = f"{match[2]}:{match[3]}"
    options: list[tuple[str, int | str]] = [("grpc.enable_http_proxy", 0)]
    if by:
        options += [("grpc.default_authority", target), ("grpc.ssl_target_name_override", match[2].strip("[]"))]
        target = by
    if match[1] in SECURE:
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
    """Wait for the outcome of the first try: the library itself would go on trying."""
    decided = threading.Event()
    ready = False

    def heard(state: grpc.ChannelConnectivity) -> None:
        nonlocal ready
        ready = ready or state is grpc.ChannelConnectivity.READY
        if ready or state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            decided.set()

    channel.subscribe(heard, try_to_connect=True)
    decided.wait(CLOSING)
    channel.unsubscribe(heard)
    return ready
