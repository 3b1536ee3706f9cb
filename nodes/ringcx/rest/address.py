"""Validation of addresses for RingCX.

A streaming profile takes ``wss://``, a host name or an IPv4 address, an optional port, and nothing more. A stream that
is started for one dialog may also have a path, or go to ``grpc://``. RingCX refuses other addresses without a reason,
and does not test whether a server answers. So flowcore checks them first.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import parse_qsl, urlsplit

from nodes.ringcx.credentials import SENSITIVE_NAME

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
MAX_HOST_LENGTH = 253
"""Characters of a host name (RFC 1035)."""

GRPC_PORTS = (443, 10443)
"""The ports on which RingCX reaches a receiver over gRPC."""


class BadAddress(ValueError):
    """RingCX would refuse this address. The text says why, and what to write."""


def check(address: str) -> str:
    """Return ``address`` if a streaming profile takes it. An empty address, which stops the streaming, is valid too.

    Raises `BadAddress`.
    """
    if not address:
        return address
    scheme, host, rest = _split(address)
    if not scheme:
        raise BadAddress(f"it must begin with wss://: write  wss://{host}")
    if scheme != "wss":
        raise BadAddress(f"only wss:// is allowed, as RingCX connects over TLS: write  wss://{host}")
    if host != rest:
        kind = {"/": "path", "?": "query", "#": "fragment"}[rest[len(host)]]
        slash = ", not even a slash at the end" if rest == f"{host}/" else ""
        raise BadAddress(
            f"no {kind} is allowed{slash}: RingCX always requests / and adds its own query; write  wss://{host}"
        )
    return address


def check_destination(address: str) -> str:
    """Return ``address`` if a stream can be started to it.

    Raises `BadAddress`.
    """
    scheme, host, rest = _split(address)
    if scheme not in ("wss", "grpc"):
        raise BadAddress(f"it must begin with wss:// or grpc://: write  wss://{host}  or  grpc://{host}")
    if scheme == "grpc" and host != rest:
        raise BadAddress(f"no path is allowed over gRPC, not even a slash at the end: write  grpc://{host}")
    if not all("!" <= char <= "~" for char in rest) or "#" in rest:
        raise BadAddress("only ASCII without spaces and without # is allowed: encode other characters as %XX")
    if any(SENSITIVE_NAME.search(name) for name, _ in parse_qsl(rest.partition("?")[2], keep_blank_values=True)):
        raise BadAddress("no secret is allowed in it: set it in RINGCX_SECRET, which RingCX passes on as the token")
    return address


def _split(address: str) -> tuple[str, str, str]:
    """Return the scheme, the host with its port, and all that follows the scheme. The scheme may be empty.

    Raises `BadAddress` unless there is a host name or an IPv4 address, with an optional port.
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        scheme, rest = "", address
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    _check_host(host)
    return scheme, host, rest


def _check_host(host: str) -> None:
    if "@" in host:
        raise BadAddress("no user name or password is allowed: set a secret in RINGCX_SECRET instead")
    if host.startswith("["):
        raise BadAddress("no IPv6 address is allowed: give a host name, or an IPv4 address")
    name, colon, port = host.partition(":")
    if colon and not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise BadAddress(f"{port or 'nothing'} is no port: give a number from 1 to 65535 after the colon")
    if not name:
        raise BadAddress("the host name is missing: write  wss://HOST  or  wss://HOST:PORT")
    labels = name.split(".")
    if labels[-1].isdecimal():
        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            raise BadAddress(f"{name} is no IPv4 address: it has four numbers from 0 to 255") from None
    elif len(name) > MAX_HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadAddress(f"{name} is no host name: letters, digits and hyphens between dots are allowed")


def unreachable(address: str) -> str:
    """Return why RingCX cannot reach a valid address from the internet; empty if it may."""
    url = urlsplit(address)
    name = url.hostname or ""
    if not name:
        return ""
    if url.scheme == "grpc" and url.port not in (None, *GRPC_PORTS):
        return f"RingCX does not reach port {url.port} over gRPC, only 443 and 10443"
    try:
        private = not ipaddress.IPv4Address(name).is_global
    except ValueError:
        private = "." not in name or name.endswith((".local", ".localhost", ".internal"))
    return f"RingCX cannot reach {name} from the internet" if private else ""
