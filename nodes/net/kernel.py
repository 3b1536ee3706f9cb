"""What the kernel is told of a connection (answer at once, never wait, find out when a peer has vanished) and asked."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios

KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4))
"""Seconds, seconds, probes: a peer that vanished is found within 30 s."""

UNSENT = 30_000
"""Milliseconds that sent bytes may stay unacknowledged or unread by the peer (TCP_USER_TIMEOUT)."""


def prepare(accepted: socket.socket) -> None:
    """Set all that on a connection that was taken."""
    accepted.setblocking(False)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        accepted.setsockopt(socket.IPPROTO_TCP, option, value)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT)


def unread(connection: socket.socket) -> int:
    """Bytes that have come and were not read yet."""
    answer: tuple[int] = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))
    return answer[0]
