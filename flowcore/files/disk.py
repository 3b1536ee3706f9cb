"""System calls for writing: durable data and names, renames that never overwrite, locks, free space."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from pathlib import Path

from flowcore.errors import CannotStart
from flowcore.open_files import EXHAUSTED

_AT_FDCWD = -100  # <fcntl.h>: relative paths start at the working directory
_RENAME_NOREPLACE = 1  # <stdio.h>
_LIBC = ctypes.CDLL(None, use_errno=True)
_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP}
"""Errors of ``renameat2`` and ``link`` on file systems and in sandboxes that do not have them."""


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


def rename_to_new(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``, for good. Raises FileExistsError where ``target`` exists, and OSError.

    ``renameat2`` does so in one step and gives programs that watch the folder the event they wait for (IN_MOVED_TO).
    NFS and some FUSE file systems refuse its flag: there, the file is linked, then unlinked. A kill between these two
    leaves one file with both names; the next call removes ``source``.
    """
    try:
        try:
            _renameat2(source, target)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
            _link_to_new(source, target)
    except FileExistsError:
        if not is_same_file(source, target):
            raise
        os.unlink(source)
    sync_directory(target.parent)


def is_same_file(path: Path, other: Path) -> bool:
    """Return whether both names exist and are hard links to one file."""
    try:
        return os.path.samestat(os.lstat(path), os.lstat(other))
    except FileNotFoundError:
        return False


def _renameat2(source: Path, target: Path) -> None:
    call = getattr(_LIBC, "renameat2", None)  # in glibc since 2.28
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(source), None, str(target))


def _link_to_new(source: Path, target: Path) -> None:
    """Link and unlink; without hard links, check that ``target`` is free and rename.

    The check protects against other flows, which reserve their names with ``.part`` files. It cannot protect a file
    that another program creates between the check and the rename.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        os.rename(source, target)
    else:
        os.unlink(source)


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
    found = os.statvfs(_nearest_directory(path))
    return found.f_bavail * found.f_frsize


def is_writable(path: Path) -> bool:
    """Whether files can be made below ``path``, which need not exist yet: the disk may be read-only after an error."""
    return os.access(_nearest_directory(path), os.W_OK | os.X_OK)


def _nearest_directory(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())


def cannot_write(path: Path, error: OSError) -> CannotStart:
    """Return the error for a config field ``path`` that names a place where no file can be written."""
    fix = "give a path in a directory that you may write to"
    if error.errno in EXHAUSTED:
        fix = "raise the limit of open files (ulimit -n)"
    text = f"cannot write to {path}: {error.strerror}; {fix}"
    return CannotStart(text, field="path")
