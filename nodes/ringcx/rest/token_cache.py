"""Cache of one login's tokens between runs: a file that only its user can read.

RingCX's tokens live 5 minutes, and RingCX issues 5 a minute at most. So all processes share a token while it is valid,
and the file records the times of the latest requests. While one process requests a token, the others wait for the
file's lock and then find the new token.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

TOKEN_LIFETIME = 300.0
"""Seconds that an access token of RingCX is valid."""

EXPIRY_MARGIN = 30.0
"""Seconds before its end from which a token is not used: a request takes time, and clocks differ."""

MAX_LOGINS = 5
"""Tokens that RingCX issues in a `LOGIN_WINDOW`."""

LOGIN_WINDOW = 60.0
"""Seconds."""


class Tokens(msgspec.Struct):
    """The content of the file. Times are wall time in seconds, as they outlive the process."""

    access: str = ""
    expires: float = 0.0
    refresh: str = ""
    requests: list[float] = []
    """Times of the latest token requests, oldest first."""

    def fresh(self, now: float) -> bool:
        """Return whether the access token is valid at ``now``; not if the clock was set back meanwhile."""
        return bool(self.access) and now < self.expires - EXPIRY_MARGIN and self.expires <= now + TOKEN_LIFETIME

    def wait(self, now: float) -> float:
        """Return the seconds until RingCX issues another token."""
        self.requests = [at for at in self.requests if now - LOGIN_WINDOW < at <= now][-MAX_LOGINS:]
        return self.requests[0] + LOGIN_WINDOW - now if len(self.requests) == MAX_LOGINS else 0.0


def cache_directory() -> Path:
    """Return the directory for the user's caches (XDG)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "flowcore"


class TokenCache:
    """The file at ``path``. If it cannot be written, ``say`` gets a warning, and the tokens last for this run only."""

    def __init__(self, path: Path, say: Callable[[str], None], now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._path = path
        self._say = say
        self._memory = Tokens()

    @contextmanager
    def open(self) -> Iterator[Tokens]:
        """Lock the file and yield its tokens; changes are stored at the end, also after an error."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            self._say(f"the login is not stored for the next run: {self._path}: {error.strerror}")
            yield self._memory
            return
        with os.fdopen(fd, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            tokens = _read(file.fileno(), file.read())
            try:
                yield tokens
            finally:
                file.seek(0)
                file.truncate()
                file.write(msgspec.json.encode(tokens))


def _read(fd: int, data: bytes) -> Tokens:
    """Return the file's tokens; none if it is damaged, or if other users could have read or written it."""
    found = os.fstat(fd)
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        os.fchmod(fd, 0o600)
        return Tokens()
    try:
        return msgspec.json.decode(data, type=Tokens)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Tokens()
