"""A TCP proxy that slows down, freezes or resets connections on command, for calls whose client hides the socket.

::

    with Proxy(("127.0.0.1", port)) as proxy:
        socket.create_connection(proxy.address)
        proxy.freeze()

Tests add toxics of their own (github.com/Shopify/toxiproxy), such as a reset behind a certain byte.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Self

READ_SIZE = 64 * 1024
THREAD_END_TIMEOUT = 1.0
"""Seconds for the threads to notice that their sockets are shut down."""
SLOW_RATE = 8000.0
"""Bytes a second after `Proxy.slow_down`: half of what a call needs."""
SLOW_PART = 80
"""Bytes that then go on at once."""


class Link:
    """One direction of one connection, as its toxics see it; ``closing`` is set when the proxy closes."""

    def __init__(self, target: socket.socket, closing: threading.Event) -> None:
        self.target = target
        self.closing = closing

    def wait(self, seconds: float | None) -> None:
        """Wait in real time, until the proxy closes at the latest; None waits until then."""
        self.closing.wait(seconds)


Toxic = Callable[[Iterator[bytes], Link], Iterator[bytes]]
"""Takes the pieces of one direction as they arrive and yields those that go on, when they go; may raise `Reset`."""


class Reset(Exception):
    """Raised by a toxic that wants both sides reset."""


class Proxy:
    """Listens at ``address`` and passes each connection on to ``target``, until it is closed.

    ``up`` are the toxics from the client to the target, ``down`` those back. The commands `slow_down`, `freeze` and
    `reset` work on all connections at once, from any thread.
    """

    def __init__(self, target: tuple[str, int], up: Sequence[Toxic] = (), down: Sequence[Toxic] = ()) -> None:
        self._target = target
        self._toxics = ((*up, self._slowed), tuple(down))
        self._closing = threading.Event()
        self._thawed = threading.Event()
        self._thawed.set()
        self._slow_until = 0.0
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listening.getsockname()
        self._run(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def slow_down(self, seconds: float) -> None:
        """Pass on the bytes of clients at `SLOW_RATE` for ``seconds``, and then the rest at once."""
        self._slow_until = time.monotonic() + seconds

    def freeze(self) -> None:
        """Pass nothing on in either direction until the proxy closes; both sides stay connected."""
        self._thawed.clear()

    def reset(self) -> None:
        """Close with a reset on both sides, and discard the bytes that are still on their way."""
        for end in self._sockets:
            _reset_on_close(end)
        self._end(socket.SHUT_RD)

    def close(self) -> None:
        """Close every connection and the listening socket, in any state."""
        self._end(socket.SHUT_RDWR)

    def _end(self, how: int) -> None:
        self._closing.set()
        self._thawed.set()
        _shut(self._listening, socket.SHUT_RDWR)  # wakes the thread that accepts
        for end in self._sockets:
            _shut(end, how)  # wakes the thread that reads: a socket in `recv` stays open when it is closed
        for thread in self._threads:
            thread.join(THREAD_END_TIMEOUT)
        for end in (self._listening, *self._sockets):
            end.close()

    def _run(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="proxy", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:  # closed
                return
            self._sockets.append(client)
            try:
                server = socket.create_connection(self._target)
            except OSError:
                _shut(client, socket.SHUT_RDWR)
                continue
            self._sockets.append(server)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._run(self._pump, client, server, self._toxics[0])
            self._run(self._pump, server, client, self._toxics[1])

    def _slowed(self, pieces: Iterator[bytes], link: Link) -> Iterator[bytes]:
        """Obey `slow_down`, as the last toxic from client to target."""
        for piece in pieces:
            at = 0
            while at < len(piece) and time.monotonic() < self._slow_until:
                part = piece[at : at + SLOW_PART]
                link.wait(len(part) / SLOW_RATE)
                yield part
                at += len(part)
            if at < len(piece):
                yield piece[at:]

    def _pump(self, source: socket.socket, target: socket.socket, toxics: Sequence[Toxic]) -> None:
        link = Link(target, self._closing)
        pieces = iter(_pieces(source))
        for toxic in toxics:
            pieces = toxic(pieces, link)
        try:
            for piece in pieces:
                self._thawed.wait()
                if self._closing.is_set():
                    return
                target.sendall(piece)
        except OSError:  # the target is gone; the other direction closes the source
            _shut(source, socket.SHUT_RD)
        except Reset:
            for end in (source, target):
                _reset_on_close(end)
                _shut(end, socket.SHUT_RD)  # wakes the thread of the other direction, whose `recv` holds it open
                end.close()
            return
        if not self._closing.is_set():  # a reset is no orderly end
            _shut(target, socket.SHUT_WR)


def _pieces(source: socket.socket) -> Iterator[bytes]:
    with suppress(OSError):  # reset: for the other side the stream ends
        while piece := source.recv(READ_SIZE):
            yield piece


def _shut(end: socket.socket, how: int) -> None:
    with suppress(OSError):  # it is down already
        end.shutdown(how)


def _reset_on_close(end: socket.socket) -> None:
    """Make the coming `close` a reset (linger 0)."""
    with suppress(OSError):  # closed already
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
