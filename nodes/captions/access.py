"""Who may look: a shared key, a signed token for one call, or anybody on this machine.

A token is ``EXPIRES.SIGNATURE``: the second since 1970 at which it ends, and HMAC-SHA256 over a fixed line, the call's
id and that second, in URL-safe base64 (RFC 4648) without padding. Whoever knows the secret can make one: see `mint`.

Neither is sent by a browser on its own, as a cookie is, so a foreign page that opens a feed has none, and ``Origin``
needs no look. ``off`` is another matter: there the names in ``Host`` and ``Origin`` must be this machine's, which keeps
out foreign pages, also those whose name was made to point here (DNS rebinding), and tunnels.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

from websockets.datastructures import Headers

from nodes.captions.calls import normal
from nodes.net.proxy_trust import is_loopback

Mode = Literal["token", "key", "off"]

SHORTEST = 16
"""Characters of a secret at least."""

FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
"""Headers that say that a proxy stands in front, so that an address of this machine proves nothing."""


def mint(secret: str, call: str, expires: int) -> str:
    """A token for one call, good until ``expires`` (seconds since 1970)."""
    signed = f"flowcore captions 1\n{expires}\n{normal(call)}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{expires}.{urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def allows_token(secret: str, call: str, token: str, wall: float) -> bool:
    """Whether the token is for this call and good at ``wall`` (seconds since 1970); none is for no call at all."""
    expires = token.partition(".")[0]
    if not (expires.isascii() and expires.isdecimal() and len(expires) <= 12):
        return False
    right = hmac.compare_digest(mint(secret, call, int(expires)).encode(), token.encode())
    return bool(normal(call)) and right and wall < int(expires)


def allows_key(secret: str, key: str) -> bool:
    """Whether the key is the secret; takes the same time wherever they differ."""
    return hmac.compare_digest(secret.encode(), key.encode())


def is_local(headers: Headers) -> bool:
    """Whether the request comes from a page of this machine, and past no proxy that says so."""
    if any(name in headers for name in FORWARDED):
        return False
    hosts = [f"//{host}" for host in headers.get_all("Host")]
    return len(hosts) == 1 and all(map(is_loopback, _names([*hosts, *headers.get_all("Origin")])))


def _names(addresses: Iterable[str]) -> Iterable[str]:
    for address in addresses:
        try:
            yield urlsplit(address).hostname or ""
        except ValueError:  # brackets that hold no address
            yield ""
