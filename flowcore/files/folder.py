"""The folder that a node's files go to: created and tested before the first call, and owned by one run."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from flowcore.environment import run_name
from flowcore.errors import CannotStart
from flowcore.files.disk import cannot_write, is_at, make_directory, try_lock
from flowcore.resource import Resource

LOCK_NAME = ".flowcore.lock"
"""File in a folder that only one run may write to; all processes of that run lock it."""


@dataclass
class Folder(Resource):
    """The root of a `PathTemplate`, created and tested before the first call, so that calls do not fail one by one.

    With ``alone``, `open` refuses a folder that another run of flowcore has opened ``alone``; the workers of one run
    share it.
    """

    path: Path
    alone: bool = False
    _lock: int | None = field(default=None, init=False, compare=False, repr=False)

    def open(self) -> None:
        """Create the folder and try to write to it. Raises `CannotStart`."""
        try:
            make_directory(self.path)
            tempfile.TemporaryFile(dir=self.path).close()  # os.access only guesses
            self._lock = _lock_run(self.path / LOCK_NAME) if self.alone else None
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        if self._lock is not None:
            lock, self._lock = self._lock, None
            _unlock_run(self.path / LOCK_NAME, lock)


def _lock_run(path: Path) -> int:
    """Lock the file ``path`` for this run and return its descriptor. Raises OSError and `CannotStart`.

    All processes of a run hold a shared lock on the file, which names the run. A process that gets an exclusive lock is
    the first of its run and writes that name. A run that takes over from another keeps its name, and so shares its
    folders: names are taken by the kernel one at a time, and each growing file has a lock of its own.
    """
    run = run_name()
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            if try_lock(fd):
                os.ftruncate(fd, 0)
                os.pwrite(fd, run.encode(), 0)
            fcntl.flock(fd, fcntl.LOCK_SH)  # waits while another process writes its run's name
            holder = os.pread(fd, 512, 0).decode(errors="replace")
            if holder == run and is_at(fd, path):
                return fd
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                return fd  # the file system has no locks, so no run is refused
            os.close(fd)
            raise
        exists = is_at(fd, path)
        os.close(fd)
        if exists:  # otherwise its last holder has just removed it: try again
            text = f"{path.parent} is in use by another flowcore (process {holder})"
            raise CannotStart(
                f"{text}: stop it, or give one of the two another folder; --takeover takes its place", field="path"
            )


def _unlock_run(path: Path, fd: int) -> None:
    """Unlock the file and remove it unless another process of this run still holds it."""
    with suppress(OSError):  # a lock file that stays does no harm
        if try_lock(fd) and is_at(fd, path):
            path.unlink()
    os.close(fd)
