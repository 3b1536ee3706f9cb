"""Sessions of browsers that have signed in: a signed cookie, so that no page has to keep the token.

A cookie is ``NAME.ID.EXPIRES.SIGNATURE``: the name of the token that signed in, a random id, the second since 1970 at
which the session ends, and HMAC-SHA256 over these with a key made from that token, in URL-safe base64. So a session
survives a deploy and a restart of the admin process, and ends when the token is changed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Final

LIFETIME: Final = 8 * 3600
"""Seconds from signing in to the end of a session."""
MAX_ENDED: Final = 10_000
"""Sessions at most that are remembered as signed out; the oldest are forgotten first."""
PURPOSE: Final = b"flowcore dashboard session 1"


class Sessions:
    """Begins, checks and ends sessions. ``tokens`` are known by name."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._keys = {name: hmac.digest(token.encode(), PURPOSE, "sha256") for name, token in tokens.items()}
        self._ended: dict[str, None] = {}  # a set that keeps its order
        # A browser sends cookies to all ports of a host: another run with other tokens must not replace this one.
        self.cookie = f"flowcore_{hashlib.sha256(b''.join(self._keys.values())).hexdigest()[:12]}"

    def begin(self, name: str, wall: float) -> str:
        """Return the cookie of a new session for the token ``name``; ``wall`` is the time in seconds since 1970."""
        content = f"{name}.{secrets.token_urlsafe(16)}.{int(wall) + LIFETIME}"
        return f"{content}.{self._sign(name, content)}"

    def token_of(self, cookie: str, wall: float) -> str:
        """Return the name of the token that signed in; empty for a cookie that is none, or no longer valid."""
        content, _, signature = cookie.rpartition(".")
        name, _, rest = content.partition(".")
        if name not in self._keys or not hmac.compare_digest(self._sign(name, content).encode(), signature.encode()):
            return ""
        expires = int(rest.rpartition(".")[2])  # a signed cookie has the right form
        return name if wall < expires and content not in self._ended else ""

    def end(self, cookie: str) -> None:
        """End a session: its cookie is of no use any more."""
        self._ended[cookie.rpartition(".")[0]] = None
        while len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]

    def _sign(self, name: str, content: str) -> str:
        digest = hmac.digest(self._keys[name], content.encode(), "sha256")
        return urlsafe_b64encode(digest).rstrip(b"=").decode()
