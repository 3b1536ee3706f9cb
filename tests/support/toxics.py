"""Toxics for `flowcore.tcp_proxy.Proxy`: faults of one direction of a connection, at an exact byte."""

import fcntl
import random
import struct
import termios

from flowcore.tcp_proxy import Reset


def freeze(after=0):
    """Pass nothing behind ``after`` bytes, not even the end of the stream (toxiproxy: timeout 0)."""

    def toxic(pieces, link):
        yield from _first(pieces, after)
        for _ in pieces:
            pass
        link.wait(None)

    return toxic


def limit_data(size):
    """End the stream in order behind ``size`` bytes."""
    return lambda pieces, link: _first(pieces, size)


def reset(after):
    """Reset both sides as soon as the target has acknowledged ``after`` bytes (toxiproxy: reset_peer)."""

    def toxic(pieces, link):
        yield from _first(pieces, after)
        while not link.closing.is_set() and _unacknowledged(link.target):
            link.wait(0.001)
        raise Reset

    return toxic


def slicer(size, seed=None):
    """Cut the stream into pieces of ``size`` bytes, or of 1 to ``size`` bytes as ``seed`` decides."""

    def toxic(pieces, link):
        rng = random.Random(seed)
        for piece in pieces:
            at = 0
            while at < len(piece):
                end = at + (size if seed is None else rng.randint(1, size))
                yield piece[at:end]
                at = end

    return toxic


def _first(pieces, size):
    while size > 0 and (piece := next(pieces, b"")):
        yield piece[:size]
        size -= len(piece)


def _unacknowledged(end):
    """The bytes that the peer's kernel has not acknowledged (SIOCOUTQ)."""
    try:
        return struct.unpack("i", fcntl.ioctl(end.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    except OSError:
        return 0
