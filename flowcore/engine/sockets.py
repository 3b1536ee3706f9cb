"""Listening sockets: opened here and nowhere else, so that one can be opened once and shared by many processes."""

from __future__ import annotations

import errno
import socket
from urllib.parse import urlsplit

from flowcore.errors import CannotStart

BACKLOG = 512
"""Connections that the kernel keeps until somebody accepts them: a second's worth of a busy port."""

Address = tuple[str, int]


def listen(host: str, port: int) -> socket.socket:
    """Listen at ``host`` on TCP ``port`` (0: any that is free), not blocking. Raises `CannotStart`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    listening.setblocking(False)
    return listening


def seen_through(public: str, address: str) -> str:
    """A ws:// or http:// ``address`` of this process as it is seen at ``public``: wss:// or https:// at a secure one.

    A path that is only ``/`` is left out: some who are given the address take none with a path.
    """
    if not public:
        return address
    outside, (scheme, _, rest) = urlsplit(public), address.partition("://")
    plain = "ws" if scheme.startswith("ws") else "http"
    path = rest.partition("/")[2]
    return f"{plain}{'s' if outside.scheme in ('https', 'wss') else ''}://{outside.netloc}{'/' if path else ''}{path}"


def _cannot_listen(host: str, port: int, error: OSError) -> CannotStart:
    if error.errno == errno.EADDRINUSE:
        fix = "stop what listens there, or choose another port (0: any that is free)"
        return CannotStart(f"port {port} of {host} is taken: {fix}", field="port")
    if error.errno == errno.EACCES:
        return CannotStart(f"port {port} needs more rights: choose one from 1024 up", field="port")
    return CannotStart(f"cannot listen at {host}: {error.strerror or error}", field="host")
