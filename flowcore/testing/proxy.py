"""A TCP proxy that makes a network's trouble, after toxiproxy's toxics (github.com/Shopify/toxiproxy).

::

    with Proxy(("127.0.0.1", port), up=[slicer(1), reset_peer(after=5000)]) as proxy:
        socket.create_connection(proxy.address)

A toxic takes the pieces of one direction of one connection as they come and gives those that go on, when they go.
"""

from __future__ import annotations

import fcntl
import random
import socket
import struct
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

PIECE = 64 * 1024


class Link:
    """One direction of one connection, as its toxics see it."""

    def __init__(self, source: socket.socket, target: socket.socket, closing: threading.Event) -> None:
        self.source = source
        self.target = target
        self.closing = closing
        """The proxy is being closed."""

    def wait(self, seconds: float | None) -> None:
        """Let real time pass, up to the proxy's end; None: up to there."""
        self.closing.wait(seconds)

    def drain(self) -> None:
        """Wait until the target's side has all that was sent."""
        while not self.closing.is_set() and _unacknowledged(self.target):
            self.closing.wait(0.001)


Toxic = Callable[[Iterator[bytes], Link], Iterator[bytes]]


def latency(seconds: float) -> Toxic:
    """Every piece is so much later; what comes meanwhile waits with it and goes on as one."""

    def toxic(pieces: Iterator[bytes], link: Link) -> Iterator[bytes]:
        for piece in pieces:
            link.wait(seconds)
            yield piece

    return toxic


def bandwidth(rate: float) -> Toxic:
    """``rate`` in bytes a second."""

    def toxic(pieces: Iterator[bytes], link: Link) -> Iterator[bytes]:
        step = max(1, int(rate / 100))
        for piece in pieces:
            for at in range(0, len(piece), step):
                link.wait(len(piece[at : at + step]) / rate)
                yield piece[at : at + step]

    return toxic


def slow_close(seconds: float) -> Toxic:
    """The end of the stream is so much later."""

    def toxic(pieces: Iterator[bytes], link: Link) -> Iterator[bytes]:
        yield from pieces
        link.wait(seconds)

    return toxic


def black_hole(after: int = 0) -> Toxic:
    """Nothing goes on behind ``after`` bytes, not even the end: what toxiproxy calls a timeout of 0."""

    def toxic(pieces: Iterator[bytes], link: Link) -> Iterator[bytes]:
        yield from _first(pieces, after)
        for _ in pieces:
            pass
        link.wait(None)

    return toxic


def limit_data(size: int) -> Toxic:
    """The stream ends in peace behind ``size`` bytes."""
    return lambda pieces, link: _first(pieces, size)


def reset_peer(after: int) -> Toxic:
    """Both sides are reset as soon as the target has ``after`` bytes."""

    def toxic(pieces: Iterator[bytes], link: Link) -> Iterator[bytes]:
        yield from _first(pieces, after)
        link.drain()
        raise _Reset

    return toxic


def slicer(size: int, seed: int | None = None) -> Toxic:
    """Pieces of ``size`` bytes, or of 1 to ``size`` as ``seed`` picks them."""
    picks = random.Random(seed)  # noqa: S311  # no secret

    def toxic(pieces: Iterator[bytes], link: Link) -> Iterator[bytes]:
        for piece in pieces:
            at = 0
            while at < len(piece):
                end = at + (size if seed is None else picks.randint(1, size))
                yield piece[at:end]
                at = end

    return toxic


def _first(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    while size > 0 and (piece := next(pieces, b"")):
        yield piece[:size]
        size -= len(piece)


class _Reset(Exception):
    """A toxic wants both sides reset."""


class Proxy:
    """Stands before ``target`` at ``address``; ``up`` are the toxics from the client to the target, ``down`` back."""

    def __init__(self, target: tuple[str, int], up: Sequence[Toxic] = (), down: Sequence[Toxic] = ()) -> None:
        self._target = target
        self._toxics = (tuple(up), tuple(down))
        self._closing = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listening.getsockname()

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        for end in self._sockets:
            _shut(end, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
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

    def _pump(self, source: socket.socket, target: socket.socket, toxics: Sequence[Toxic]) -> None:
        link = Link(source, target, self._closing)
        pieces = iter(_pieces(source))
        for toxic in toxics:
            pieces = toxic(pieces, link)
        try:
            for piece in pieces:
                target.sendall(piece)
        except OSError:  # the target is gone, and tells the source by the way back
            _shut(source, socket.SHUT_RD)
        except _Reset:
            for end in (source, target):
                _reset(end)
            return
        _shut(target, socket.SHUT_WR)


def _pieces(source: socket.socket) -> Iterator[bytes]:
    try:
        while piece := source.recv(PIECE):
            yield piece
    except OSError:  # reset: for the other side it is an end
        return


def _shut(end: socket.socket, how: int) -> None:
    try:
        end.shutdown(how)
    except OSError:  # it is down already
        return


def _reset(end: socket.socket) -> None:
    """Close with a reset (linger 0) though another thread waits in ``recv``, which holds the socket open."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _shut(end, socket.SHUT_RD)  # wakes that thread
    end.close()


def _unacknowledged(end: socket.socket) -> int:
    """Bytes that the peer's kernel has not acknowledged (SIOCOUTQ)."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(end.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0
