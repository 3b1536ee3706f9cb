"""The token of one login, kept between runs: a file that only its user can read.

RingCX's tokens live 5 minutes, and it hands out 5 a minute at most. So one is used as long as it lasts, whoever asks,
and the file remembers when the latest were asked for. While one process asks, others wait at the file's lock and find
the new token there.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

LIFE = 300.0
"""Seconds that an access token of RingCX is valid."""

MARGIN = 30.0
"""Seconds before its end from which a token is no longer used: a request may take a while, clocks differ."""

LOGINS = 5
"""Tokens that RingCX hands out in a `MINUTE`."""

MINUTE = 60.0


class Kept(msgspec.Struct):
    """What is in the file. Times are wall time in seconds, as they outlive the process."""

    access: str = ""
    expires: float = 0.0
    refresh: str = ""
    asked: list[float] = []
    """When the latest tokens were asked for, oldest first."""

    def fresh(self, now: float) -> bool:
        """Whether the access token can be used at ``now``; not if the clock was put back meanwhile."""
        return bool(self.access) and now < self.expires - MARGIN and self.expires <= now + LIFE

    def wait(self, now: float) -> float:
        """Seconds until RingCX hands out another one."""
        self.asked = [asked for asked in self.asked if now - MINUTE < asked <= now][-LOGINS:]
        return self.asked[0] + MINUTE - now if len(self.asked) == LOGINS else 0.0


def directory() -> Path:
    """Where a user's caches belong (XDG)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "flowcore"


class TokenCache:
    """The file at ``path``; where it cannot be kept, ``say`` is told, and the token serves this run only."""

    def __init__(self, path: Path, say: Callable[[str], None], now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._path = path
        self._say = say
        self._memory = Kept()

    @contextmanager
    def open(self) -> Iterator[Kept]:
        """What is kept, alone with it: changes are stored at the end, also after an error."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            self._say(f"the login is not kept for the next run: {self._path}: {error.strerror}")
            yield self._memory
            return
        with os.fdopen(fd, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            kept = _read(file.fileno(), file.read())
            try:
                yield kept
            finally:
                file.seek(0)
                file.truncate()
                file.write(msgspec.json.encode(kept))


def _read(fd: int, data: bytes) -> Kept:
    """What the file holds, or nothing: a half-written file, or one that others could have written or read."""
    found = os.fstat(fd)
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        os.fchmod(fd, 0o600)
        return Kept()
    try:
        return msgspec.json.decode(data, type=Kept)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Kept()
