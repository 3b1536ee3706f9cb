"""Rename a file without overwriting another one."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100  # <fcntl.h>: relative paths start at the working directory
_RENAME_NOREPLACE = 1  # <stdio.h>
_LIBC = ctypes.CDLL(None, use_errno=True)
_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP}
"""Errors of ``renameat2`` and ``link`` on file systems and in sandboxes that do not have them."""


def rename_to_new(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``. Raises FileExistsError where ``target`` exists, and OSError.

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
