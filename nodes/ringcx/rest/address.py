"""Validation of addresses for RingCX: ``wss://``, a host name or an IPv4 address, an optional port, and nothing more.

RingCX refuses other addresses without a reason, and does not test whether a server answers. So flowcore checks them
first.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
MAX_HOST_LENGTH = 253
"""Characters of a host name (RFC 1035)."""


class BadAddress(ValueError):
    """RingCX would refuse this address. The text says why, and what to write."""


def check(address: str) -> str:
    """Return ``address`` if RingCX accepts it. An empty address, which stops the streaming, is valid too.

    Raises `BadAddress`.
    """
    if not address:
        return address
    scheme, mark, rest = address.partition("://")
    if not mark:
        raise BadAddress(f"it must begin with wss://: write  wss://{address}")
    if scheme != "wss":
        raise BadAddress(f"only wss:// is allowed, as RingCX connects over TLS: write  wss://{rest}")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if host != rest:
        kind = {"/": "path", "?": "query", "#": "fragment"}[rest[len(host)]]
        slash = ", not even a slash at the end" if rest == f"{host}/" else ""
        raise BadAddress(
            f"no {kind} is allowed{slash}: RingCX always requests / and adds its own query; write  wss://{host}"
        )
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
    return address


def unreachable(address: str) -> str:
    """Return why RingCX cannot reach a valid address from the internet; empty if it may."""
    name = urlsplit(address).hostname or ""
    if not name:
        return ""
    try:
        private = not ipaddress.IPv4Address(name).is_global
    except ValueError:
        private = "." not in name or name.endswith((".local", ".localhost", ".internal"))
    return f"RingCX cannot reach {name} from the internet" if private else ""
