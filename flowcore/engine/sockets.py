"""Listening sockets. All are opened here, so that many processes can share a socket that was opened once."""

from __future__ import annotations

import errno
import socket
from urllib.parse import urlsplit

from flowcore.errors import CannotStart

BACKLOG = 512
"""Connections that the kernel queues until they are accepted: a second of a busy port."""

Address = tuple[str, int]


def listen(host: str, port: int) -> socket.socket:
    """Open a non-blocking listening socket at ``host`` on TCP ``port`` (0: any free one).

    ``::`` listens at all addresses of this machine, also those of IPv4. Raises `CannotStart`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server(
            (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6()
        )
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    listening.setblocking(False)
    return listening


def seen_through(public: str, address: str) -> str:
    """Return a ws:// or http:// ``address`` of this process as seen at ``public``, with TLS if that has it.

    A path that is only ``/`` is left out, because some platforms accept no address with a path.
    """
    if not public:
        return address
    outside, (scheme, _, rest) = urlsplit(public), address.partition("://")
    plain = "ws" if scheme.startswith("ws") else "http"
    path = rest.partition("/")[2]
    return f"{plain}{'s' if outside.scheme in ('https', 'wss') else ''}://{outside.netloc}{'/' if path else ''}{path}"


def _cannot_listen(host: str, port: int, error: OSError) -> CannotStart:
    if error.errno == errno.EADDRINUSE:
        fix = "stop what listens there, or choose another port (0: any free one)"
        return CannotStart(f"port {port} of {host} is taken: {fix}", field="port")
    if error.errno == errno.EACCES:
        return CannotStart(f"port {port} needs more rights: choose one from 1024 up", field="port")
    return CannotStart(f"cannot listen at {host}: {error.strerror or error}", field="host")
