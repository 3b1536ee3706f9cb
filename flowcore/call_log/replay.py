"""The thread that brings rows from all journals of a folder to the database."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from flowcore.call_log.database import Database, DatabaseFailed
from flowcore.call_log.journal import SUFFIX
from flowcore.files.disk import make_directory, try_lock

INTERVAL: Final = 1.0
"""Seconds between two looks into the folder."""
MAX_RETRY_DELAY: Final = 30.0
"""Seconds after which a database that fails is tried again, at most."""
PURGE_INTERVAL: Final = 3600.0
CLOSE_TIMEOUT: Final = 5.0
"""Seconds that the end of the process waits for the database. The next run stores the rest."""
LOCK_NAME: Final = ".lock"
KILLED: Final = "killed"
"""The reason of a call whose process died."""


class Replay:
    """Stores each row of the journals in ``folder`` once, by its flow, and removes files that are stored whole.

    A running call of a dead process becomes a row too, with the reason `KILLED`. One process at a time replays a
    folder. ``days`` is the age at which rows are removed; 0 keeps them. ``wall`` is the time.
    """

    def __init__(
        self,
        folder: Path,
        database: Database,
        days: float = 0,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder = folder
        self._database = database
        self._days = days
        self._wall = wall
        self._read: dict[Path, int] = {}  # bytes that are stored
        self._running: dict[Path, dict[str, dict[str, Any]]] = {}

    def once(self) -> None:
        """Store all that is in the journals now. Raises `DatabaseFailed` and OSError; nothing is lost then."""
        with self._alone() as alone:
            if alone:
                self._database.add([])
                for path in sorted(self._folder.glob(f"*{SUFFIX}")):
                    with suppress(FileNotFoundError):  # another process was faster
                        self._replay(path)

    def purge(self) -> None:
        """Remove rows that are too old. Raises `DatabaseFailed`."""
        if self._days:
            self._database.remove_before(self._wall() - timedelta(days=self._days))

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        make_directory(self._folder)
        fd = os.open(self._folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield try_lock(fd)
        finally:
            os.close(fd)

    def _replay(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            complete = try_lock(fd)  # before the read: nobody appends any more
            at = self._read.get(path, 0)
            data = os.pread(fd, os.fstat(fd).st_size - at, at)
            data = data[: data.rfind(b"\n") + 1]
            running = dict(self._running.get(path, {}))
            rows = _ended(data, running)
            if complete:
                rows += [row | {"reason": KILLED} for row in running.values()]
            if rows:
                self._database.add(rows)
            if complete:
                path.unlink()
                self._read.pop(path, None)
                self._running.pop(path, None)
            else:
                self._read[path], self._running[path] = at + len(data), running
        finally:
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)


def _ended(data: bytes, running: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of ended calls, and keep the rows of ``running`` calls up to date."""
    rows: list[dict[str, Any]] = []
    for line in data.splitlines():
        with suppress(msgspec.DecodeError, KeyError, TypeError, ValueError):  # torn by a power cut
            record = msgspec.json.decode(line)
            if "sealed" in record:
                running.clear()  # they are in the next file
                continue
            row = record["row"]
            for name in ("started", "ended"):
                if name in row:
                    row[name] = datetime.fromisoformat(row[name])
            if "reason" in row:
                running.pop(row["flow"], None)
                rows.append(row | {"files": record["files"]})
            else:
                running[row["flow"]] = row
    return rows


class ReplayThread:
    """Runs a `Replay` beside the calls, and tries again while the database fails. ``emit`` takes events."""

    def __init__(self, replay: Replay, emit: Callable[..., None]) -> None:
        self._replay = replay
        self._emit = emit
        self._closing = threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="flowcore-call-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Store what is in the journals, unless the database fails, and end; a database that hangs is left behind."""
        self._closing.set()
        self._thread.join(CLOSE_TIMEOUT)

    def _run(self) -> None:
        delay, purged = INTERVAL, -PURGE_INTERVAL
        last = False
        while not last:
            last = self._closing.is_set()  # before the look: all that came before `close` is stored
            try:
                self._replay.once()
                if time.monotonic() - purged >= PURGE_INTERVAL:
                    self._replay.purge()
                    purged = time.monotonic()
            except (DatabaseFailed, OSError) as error:
                delay = min(delay * 2, MAX_RETRY_DELAY) if self._failed else INTERVAL
                self._report(True, cause=error)
            else:
                delay = INTERVAL
                self._report(False)
            if not last:
                self._closing.wait(delay)

    def _report(self, failed: bool, **fields: Any) -> None:
        if failed != self._failed:
            self._failed = failed
            self._emit("call_log_failed" if failed else "call_log_restored", detail="in the journal", **fields)
