"""Ports for those who have to be told theirs."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST = 10_000


def free_port() -> int:
    """A port to listen at later, and more than once.

    One that nobody is given who asks for any, as tests beside this one do all the time: the kernel might give them a
    port that was only free when somebody looked.
    """
    given = int(RANGE.read_text().split()[0])
    while True:
        port = LOWEST + secrets.randbelow(given - LOWEST) if given > LOWEST else 0
        try:
            with socket.create_server(("127.0.0.1", port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:  # somebody listens there
            continue
