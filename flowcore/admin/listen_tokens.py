"""Tokens that open the audio of one call once, within seconds."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

LIFETIME: Final = 10.0
"""Seconds within which a token must be used."""
MAX_WAITING: Final = 64
"""Tokens at most that wait for their use; the oldest is given up first."""


@dataclass(frozen=True)
class Listening:
    """What a token opens: a node of a flow; an empty ``node`` is the first one with linear audio."""

    flow: str
    node: str


class ListenTokens:
    """Issues tokens, and takes each back once. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[float, Listening]] = {}

    def issue(self, listening: Listening, now: float) -> str:
        """Return a token for ``listening``."""
        while len(self._waiting) >= MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
        token = secrets.token_urlsafe(24)
        self._waiting[token] = now + LIFETIME, listening
        return token

    def take(self, token: str, now: float) -> Listening | None:
        """Return what the token opens; None for one that is unknown, used or too old."""
        expires, listening = self._waiting.pop(token, (0.0, None))
        return listening if now < expires else None
