"""Cache of one login's tokens between runs: a file that only its user can read.

RingCX's tokens live 5 minutes, and RingCX limits how many it issues, and how many requests one login may make. So all
processes share a token while it is valid, and the file records the times of the latest requests. While one process
requests a token, the others wait for the file's lock and then find the new token.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from nodes.ringcx.rest.rate_limit import RateLimit

TOKEN_LIFETIME = 300.0
"""Seconds that an access token of RingCX is valid."""

EXPIRY_MARGIN = 30.0
"""Seconds before its end from which a token is not used: a request takes time, and clocks differ."""


class Tokens(msgspec.Struct):
    """The content of the file. Times are wall time in seconds, as they outlive the process."""

    access: str = ""
    expires: float = 0.0
    refresh: str = ""
    requests: dict[str, list[float]] = {}
    """Times of the latest requests for each subject of a rate limit, oldest first."""

    def fresh(self, now: float) -> bool:
        """Return whether the access token is valid at ``now``; not if the clock was set back meanwhile."""
        return bool(self.access) and now < self.expires - EXPIRY_MARGIN and self.expires <= now + TOKEN_LIFETIME

    def take_turn(self, limit: RateLimit, now: float) -> float:
        """Record a request and return 0, or return the seconds to wait before the next try."""
        times = self.requests[limit.subject] = limit.recent(self.requests.get(limit.subject, []), now)
        wait = limit.wait(times, now)
        if not wait:
            times.append(now)
        return wait


_in_memory: dict[Path, tuple[threading.Lock, Tokens]] = {}
"""What stands in for files that cannot be written, for all of this process."""


def cache_directory() -> Path:
    """Return the directory for the user's caches (XDG)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "flowcore"


class TokenCache:
    """The file at ``path``. If it cannot be written, ``say`` gets a warning, and the tokens last for this process."""

    def __init__(self, path: Path, say: Callable[[str], None], now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._path = path
        self._say = say
        self._warned = False

    @contextmanager
    def open(self) -> Iterator[Tokens]:
        """Lock the file and yield its tokens; changes are stored at the end, also after an error."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if not self._warned:
                self._warned = True
                self._say(f"the login is not stored for the next run: {self._path}: {error.strerror}")
            lock, tokens = _in_memory.setdefault(self._path, (threading.Lock(), Tokens()))
            with lock:
                yield tokens
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
