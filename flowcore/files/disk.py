"""System calls for writing: data and names that a power cut does not take away, locks, free space."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from flowcore.errors import CannotStart


def make_directory(directory: Path) -> None:
    """Create ``directory`` and its parents, each synced in the directory above it. Raises OSError."""
    try:
        if not directory.is_dir():
            make_directory(directory.parent)
            directory.mkdir(exist_ok=True)
            sync_directory(directory.parent)
    except FileExistsError as error:  # a file has that name
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error


def sync_directory(directory: Path) -> None:
    """Bring the names in ``directory`` to the disk. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``; after an OSError, some of it may be written."""
    done = 0
    while done < len(data):
        done += os.write(fd, data[done:] if done else data)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and bring its content, but not its name, to the disk. Raises OSError, and then removes the file."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        write_all(fd, data)
        os.fsync(fd)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(fd)


def try_lock(fd: int) -> bool:
    """Lock an open file exclusively, without waiting; False where another process or descriptor holds a lock."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(fd: int, path: Path) -> bool:
    """Return whether ``path`` is the name of the open file ``fd``."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def free_space(path: Path) -> int:
    """Return how many bytes can be written below ``path``, which need not exist yet. Raises OSError."""
    directory = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def cannot_write(path: Path, error: OSError) -> CannotStart:
    """Return the error for a config field ``path`` that names a place where no file can be written."""
    text = f"cannot write to {path}: {error.strerror}; give a path in a directory that you may write to"
    return CannotStart(text, field="path")
