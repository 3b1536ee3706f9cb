"""Access to captions: a shared key, a signed token for one call, or this machine only.

A token is ``EXPIRES.SIGNATURE``: the second since 1970 at which it expires, and HMAC-SHA256 over a fixed line, that
second and the call's id, in URL-safe base64 (RFC 4648) without padding. The secret is all it takes to `mint` one.

Unlike a cookie, a browser never sends a key or token by itself. So a foreign page that opens a feed has none, and
``Origin`` need not be checked. With ``off``, the names in ``Host`` and ``Origin`` must be this machine's. That refuses
foreign pages, also after DNS rebinding, and tunnels.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

from websockets.datastructures import Headers

from flowcore.addresses import is_loopback
from flowcore.call_ids import normalize_id

Mode = Literal["token", "key", "off"]

MIN_SECRET_CHARS = 16

PROXY_HEADERS = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
"""Headers of a proxy: behind one, a loopback address does not prove that the caller is on this machine."""


def mint(secret: str, call: str, expires: int) -> str:
    """Make a token for one call, valid until ``expires`` (seconds since 1970)."""
    signed = f"flowcore captions 1\n{expires}\n{normalize_id(call)}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{expires}.{urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def allows_token(secret: str, call: str, token: str, wall: float) -> bool:
    """Whether the token is for this call and valid at ``wall`` (seconds since 1970); false for an empty call."""
    expires = token.partition(".")[0]
    if not (expires.isascii() and expires.isdecimal() and len(expires) <= 12):
        return False
    right = hmac.compare_digest(mint(secret, call, int(expires)).encode(), token.encode())
    return bool(normalize_id(call)) and right and wall < int(expires)


def allows_key(secret: str, key: str) -> bool:
    """Compare the key with the secret in constant time."""
    return hmac.compare_digest(secret.encode(), key.encode())


def is_local(headers: Headers) -> bool:
    """Whether the request names this machine in ``Host`` and ``Origin`` and has no `PROXY_HEADERS`."""
    if any(name in headers for name in PROXY_HEADERS):
        return False
    hosts = [f"//{host}" for host in headers.get_all("Host")]
    return len(hosts) == 1 and all(map(is_loopback, _names([*hosts, *headers.get_all("Origin")])))


def _names(addresses: Iterable[str]) -> Iterable[str]:
    for address in addresses:
        try:
            yield urlsplit(address).hostname or ""
        except ValueError:  # brackets without an IPv6 address
            yield ""
