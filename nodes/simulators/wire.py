"""A TCP connection that goes through this process, for who has a library between himself and his socket."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

PIECE = 64 * 1024
CRUMB = 100
"""Bytes that go on together while the wire is slow, and seconds that they take: 8 kB/s, half of what a call needs."""
PAUSE = 0.0125
PATIENCE = 1.0
"""Seconds for a thread to notice that its sockets are shut."""


class Wire:
    """Leads the first connection to ``address`` on to ``host`` and ``port``, and can do what networks do to it."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._slow = 0  # bytes still to go on slowly
        self._flowing = threading.Event()
        self._flowing.set()
        self._over = False
        self._ends: list[socket.socket] = []
        self._entrance = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._entrance.getsockname())
        self._threads = [threading.Thread(target=self._lead, name="wire", daemon=True)]
        self._threads[0].start()

    def slow_down(self, seconds: float) -> None:
        """What is sent for about so long goes on in crumbs, at half the speed of a call."""
        self._slow = round(seconds / PAUSE * CRUMB)

    def freeze(self) -> None:
        """Nothing goes on, and neither end is told."""
        self._flowing.clear()

    def cut(self) -> None:
        """Gone without a word: a reset."""
        for end in self._ends:
            with contextlib.suppress(OSError):  # the other side was quicker
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._end(socket.SHUT_RD)

    def close(self) -> None:
        """Let go, whatever state it is in."""
        self._end(socket.SHUT_RDWR)

    def _end(self, how: int) -> None:
        self._over = True
        for end in (self._entrance, *self._ends):
            with contextlib.suppress(OSError):  # it is down already
                end.shutdown(how)  # wakes who reads; a socket that somebody reads stays open when it is closed
        self._flowing.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        for end in (self._entrance, *self._ends):
            end.close()

    def _lead(self) -> None:
        with contextlib.suppress(OSError):  # closed before anybody came
            near, _ = self._entrance.accept()
            self._ends.append(near)
            try:
                far = socket.create_connection(self._to)
            except OSError:  # nobody there, which the near end learns so
                near.shutdown(socket.SHUT_RDWR)
                return
            self._ends.append(far)
            for end in self._ends:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._carry, args=(far, near, False), name="wire-back", daemon=True)
            self._threads.append(back)
            back.start()
            self._carry(near, far, True)

    def _carry(self, source: socket.socket, target: socket.socket, there: bool) -> None:
        with contextlib.suppress(OSError):  # either end is gone, of which the other is told below
            while piece := source.recv(PIECE):
                for part in self._parts(piece) if there else (piece,):
                    self._flowing.wait()
                    if self._over:
                        return
                    target.sendall(part)
        if not self._over:
            with contextlib.suppress(OSError):  # it is down already
                target.shutdown(socket.SHUT_WR)

    def _parts(self, piece: bytes) -> Iterator[bytes]:
        at = 0
        while self._slow > 0 and at < len(piece):
            yield piece[at : at + CRUMB]
            at += CRUMB
            self._slow -= CRUMB
            time.sleep(PAUSE)
        if at < len(piece):
            yield piece[at:]
