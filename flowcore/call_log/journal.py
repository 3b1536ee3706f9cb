"""The journal: files in one folder, to which each process appends rows of calls, one JSON object a line.

- ``{"row": {...}, "files": [...]}``: a call; without ``reason`` it has only begun
- ``{"sealed": true}``: the process goes on in another file, which names the running calls again

A process holds a lock (flock) on the file to which it appends. Nothing is appended to a file without a lock any more;
if it is not sealed, its process has died. A line without its end was torn by a power cut or a full disk.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from flowcore.call_log.rows import plain
from flowcore.files.disk import is_at, make_directory, sync_directory, try_lock

SUFFIX: Final = ".jsonl"
MAX_FILE: Final = 1024 * 1024
"""Bytes after which a process goes on in another file: so much is read at once."""
MAX_QUEUE: Final = 10_000
"""Rows in memory, at most, while the disk takes none: about 20 MB."""
RETRY_INTERVAL: Final = 1.0
"""Seconds between two tries to write to a disk that failed."""
CLOSE_TIMEOUT: Final = 5.0
"""Seconds that the end of the process waits for the disk."""

Entry = tuple[str, dict[str, Any], list[str]]


class Journal:
    """Appends rows to a file of its own in ``folder``, in a thread, and syncs each batch (fdatasync) to the disk.

    ``emit`` takes events, from that thread. While the disk fails, rows wait in memory; beyond `MAX_QUEUE` the newest
    are lost and reported.
    """

    def __init__(self, folder: Path, emit: Callable[..., None]) -> None:
        self._folder = folder
        self._emit = emit
        self._queue: deque[Entry] = deque()
        self._lost = 0
        self._work = threading.Event()
        self._closing = False
        self._failed = False
        self._fd: int | None = None
        self._size = 0
        self._running: dict[str, bytes] = {}  # lines of calls that have not ended
        self._thread = threading.Thread(target=self._run, name="flowcore-call-log-journal", daemon=True)
        self._thread.start()

    def write(self, flow: str, row: dict[str, Any], files: list[str]) -> None:
        """Queue a row, to which the checksums of ``files`` are added. Never waits."""
        if len(self._queue) >= MAX_QUEUE:
            self._lost += 1
        else:
            self._queue.append((flow, row, files))
        self._work.set()

    def close(self) -> None:
        """Write what is queued, and release the file; a disk that hangs is left behind."""
        self._closing = True
        self._work.set()
        self._thread.join(CLOSE_TIMEOUT)

    def _run(self) -> None:
        last = False
        while not last:
            self._work.wait(RETRY_INTERVAL if self._failed else None)
            self._work.clear()
            last = self._closing  # before the write: all that came before `close` is written
            try:
                self._write_queued()
            except OSError as error:
                self._report(True, cause=error)
            else:
                self._report(False)
        self._lost += len(self._queue)
        self._report_lost()
        if self._fd is not None:
            os.close(self._fd)

    def _report(self, failed: bool, **fields: Any) -> None:
        if failed != self._failed:
            self._failed = failed
            self._emit("call_log_failed" if failed else "call_log_restored", detail="in memory", **fields)
        if not failed:
            self._report_lost()

    def _report_lost(self) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            self._emit("call_log_rows_lost", rows=lost)

    def _write_queued(self) -> None:
        batch = list(self._queue)
        lines, running = [], dict(self._running)
        for flow, row, files in batch:
            line = _line({"row": row, "files": [_described(path) for path in files]})
            lines.append(line)
            if "reason" in row:
                running.pop(flow, None)
            else:
                running[flow] = line
        if lines:
            self._append(b"".join(lines))
        self._running = running
        for _ in batch:
            self._queue.popleft()

    def _append(self, data: bytes) -> None:
        """Append to the file, or to a new one where the old one is full. Leaves the file as it was on OSError."""
        if self._fd is None or self._size >= MAX_FILE:
            self._change_file()
        assert self._fd is not None  # noqa: S101  # for mypy
        self._size = _write(self._fd, self._size, data)

    def _change_file(self) -> None:
        path, fd = _create(self._folder)
        try:
            size = _write(fd, 0, b"".join(self._running.values()))
            if self._fd is not None:
                _write(self._fd, self._size, _line({"sealed": True}))
                os.close(self._fd)
        except OSError:
            path.unlink()  # or its running calls would seem to have died
            os.close(fd)
            raise
        self._fd, self._size = fd, size


def _line(record: dict[str, Any]) -> bytes:
    return msgspec.json.encode(record) + b"\n"


def _described(path: str) -> dict[str, Any]:
    """Return the path and the checksum of a file; None for one that another program has taken away."""
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        digest = None
    return {"path": plain(path), "sha256": digest}


def _create(folder: Path) -> tuple[Path, int]:
    """Create and lock a file for this process. Raises OSError."""
    make_directory(folder)
    while True:
        path = folder / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if try_lock(fd) and is_at(fd, path):
            sync_directory(folder)
            return path, fd
        os.close(fd)  # it was taken for one of a dead process


def _write(fd: int, at: int, data: bytes) -> int:
    """Append at ``at``, sync, and return the new end of the file. Raises OSError, and cuts off what it wrote."""
    try:
        done = 0
        while done < len(data):
            done += os.pwrite(fd, data[done:], at + done)
        os.fdatasync(fd)
    except OSError:
        os.ftruncate(fd, at)
        raise
    return at + len(data)
