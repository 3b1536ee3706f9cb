"""A fake disk that is slow, full or broken, or loses power, for code that writes with ``os.write`` and ``os.fsync``.

::

    with FakeDisk(tmp_path) as disk:
        disk.room = 10_000            # the write that passes the 10,000th byte is cut short, the next one raises ENOSPC
        ...
    disk.power_cut()                  # tmp_path holds what was synced, and no more
"""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path
from typing import Any, Self

from flowcore.testing.threads import spend


class FakeDisk:
    """Fake disk for the files of this process below ``root``, while the ``with`` block runs.

    Set at any time: ``seconds`` that each write and sync takes (see `spend`), ``room`` in bytes, ``write_error`` and
    ``sync_error``, an `errno` number to raise. ``syncs`` counts the syncs of each file, by path. Bytes written without
    ``os.write`` (by a Python file object) are neither delayed nor refused, but a power cut loses them like others.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.seconds = 0.0
        self.room: int | None = None
        self.write_error = 0
        self.sync_error = 0
        self.syncs: dict[Path, int] = {}
        self._real: dict[str, Any] = {}
        self._content: dict[int, bytes] = {}  # by inode, as it was at the last sync
        self._names: dict[Path, dict[str, int]] = {}  # by directory, as they were at the last sync

    def __enter__(self) -> Self:
        for path in (self.root, *sorted(self.root.rglob("*"))):
            self._remember(path)
        fakes = {
            "write": self._write,
            "fsync": partial(self._sync, "fsync"),
            "fdatasync": partial(self._sync, "fdatasync"),
        }
        self._real = {name: getattr(os, name) for name in fakes}
        for name, fake in fakes.items():
            setattr(os, name, fake)
        return self

    def __exit__(self, *_: object) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)

    def power_cut(self) -> None:
        """Restore what was synced: contents by a sync of the file, names by a sync of the directory."""
        contents = dict(self._content)
        for path in sorted(self.root.rglob("*"), reverse=True):
            directory = path.is_dir()
            if directory and path not in self._names:
                path.rmdir()  # its files are deleted already
            elif not directory:
                path.unlink()
        for directory_path, names in self._names.items():
            for name, inode in names.items():
                path = directory_path / name
                if not path.is_dir():
                    path.write_bytes(contents.get(inode, b""))

    def _write(self, fd: int, data: Any) -> int:
        if self._path(fd) is None:
            return int(self._real["write"](fd, data))
        error = self.write_error or (errno.ENOSPC if self.room == 0 and len(data) else 0)
        if self.room is not None and not error:
            data = bytes(data)[: self.room]
            self.room -= len(data)
        # A write to a slow disk returns late, but its bytes are in the kernel's memory at once, also if the caller's
        # thread has been given up.
        written = 0 if error else int(self._real["write"](fd, data))
        spend(self.seconds)
        _raise(error)
        return written

    def _sync(self, name: str, fd: int) -> None:
        path = self._path(fd)
        if path is None:
            self._real[name](fd)
            return
        self.syncs[path] = self.syncs.get(path, 0) + 1
        spend(self.seconds)
        _raise(self.sync_error)
        self._remember(path)

    def _path(self, fd: int) -> Path | None:
        """Return the path behind ``fd``, or None if it is not below ``root``."""
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        return path if path.is_relative_to(self.root) else None

    def _remember(self, path: Path) -> None:
        if path.is_dir():
            self._names[path] = {entry.name: entry.stat().st_ino for entry in path.iterdir()}
        else:
            self._content[path.stat().st_ino] = path.read_bytes()


def _raise(number: int) -> None:
    if number:
        raise OSError(number, os.strerror(number))
