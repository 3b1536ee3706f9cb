"""Socket options that make the kernel send at once, never block, and detect a peer that has vanished."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios

KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4))
"""Seconds, seconds, probes: a peer that vanished is detected within 30 s."""

UNACKNOWLEDGED_TIMEOUT = 30_000
"""Milliseconds that sent bytes may stay unacknowledged or unread by the peer (TCP_USER_TIMEOUT)."""


def configure(accepted: socket.socket) -> None:
    """Set the options of an accepted connection."""
    accepted.setblocking(False)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        accepted.setsockopt(socket.IPPROTO_TCP, option, value)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_TIMEOUT)


def unread_bytes(connection: socket.socket) -> int:
    """Return the number of bytes in the kernel's receive buffer."""
    answer: tuple[int] = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))
    return answer[0]
