"""Files that grow: created under a new name, only appended to, called ``….part`` until they are finished."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Self

from flowcore.files.disk import cannot_write, is_at, make_directory, sync_directory, try_lock, write_all
from flowcore.node import Session
from flowcore.paths import PathTemplate

PARTIAL_SUFFIX = ".part"
"""Follows the name of a file while it is being written."""
EMPTY_PARTIAL_GRACE = 60.0
"""Seconds for which an empty, unlocked ``.part`` file may belong to a writer that is about to lock it."""


def partial_path(path: Path) -> Path:
    """Return the name of ``path`` while it is being written."""
    return path.with_name(path.name + PARTIAL_SUFFIX)


def final_path(partial: Path) -> Path:
    """Return the name that a ``.part`` file stands for."""
    return partial.with_name(partial.name.removesuffix(PARTIAL_SUFFIX))


def numbered(path: Path, first: int = 1) -> Iterator[Path]:
    """Yield ``x.wav``, ``x-2.wav``, ``x-3.wav``, … without end, from number ``first`` on."""
    for number in count(first):
        yield path if number == 1 else path.with_stem(f"{path.stem}-{number}")


class FileRemoved(FileNotFoundError):
    """Another program removed or renamed a ``.part`` file, or a folder above it, while the file was written."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.ENOENT, "it was removed or renamed while flowcore wrote it", str(path))


class NewFile:
    """A new file, written by appending.

    The first free name is taken: ``x.wav``, ``x-2.wav``, ``x-3.wav``, …. With ``partial``, ``.part`` follows the name
    until `publish`, and the file is locked until `close`, so that `abandoned` leaves it alone. Without it, readers see
    the file while it grows. Only this user can open a ``private`` one. A kill of this process loses nothing that
    `append` has written.
    """

    def __init__(self, wanted: Path, *, partial: bool = False, private: bool = False, first: int = 1) -> None:
        """Create the file and the directories above it; try the names from number ``first`` on. Raises OSError."""
        make_directory(wanted.parent)
        mode = 0o600 if private else 0o666
        self.number: int
        """Number in the name; 1 for the name without one."""
        for number, name in enumerate(numbered(wanted, first), first):
            if name.exists() or partial_path(name).exists():
                continue
            try:
                self.number, self.path = number, partial_path(name) if partial else name
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, mode)
            except FileExistsError:
                continue  # another flow was faster
            if not partial or _lock(self._fd, self.path):
                break
            os.close(self._fd)  # `abandoned` locked it first
        self._partial = partial
        self._status = os.fstat(self._fd)
        self.size = 0
        """Length in bytes."""
        self._synced = -1  # `size` at the last sync; -1: not even the name is on the disk

    @classmethod
    def create(cls, template: PathTemplate, session: Session, *, partial: bool = False, first: int = 1) -> Self:
        """Create the file that a node's config field ``path`` names for a session. Raises `CannotStart`."""
        wanted = template.resolve(session)
        try:
            return cls(wanted, partial=partial, first=first)
        except OSError as error:
            raise cannot_write(wanted, error) from error

    def has_name(self) -> bool:
        """Return whether the file still has its name: another program may have removed or renamed it."""
        try:
            return os.path.samestat(os.stat(self.path), self._status)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # trouble of the disk shows when it is written to
            return True

    def check_name(self) -> None:
        """Raise `FileRemoved` unless the file still has its name; call it before something is done under that name."""
        if not self.has_name():
            raise FileRemoved(self.path)

    def append(self, data: bytes) -> None:
        """Write all of ``data``. Raises OSError, and then nothing of it is in the file.

        Raises `FileRemoved` for a ``.part`` file that has lost its name: nobody could ever finish it.
        """
        if self._partial:
            self.check_name()
        try:
            write_all(self._fd, data)
        except OSError:
            os.ftruncate(self._fd, self.size)  # a disk that fills up takes some of the data first
            raise
        self.size += len(data)

    def sync(self, *beside: NewFile) -> None:
        """Bring everything appended so far to the disk, where no power cut takes it away. Raises OSError.

        ``beside`` are files in the same directory; one sync of the directory covers the names of all.

        After an error, do not call it again: the kernel may drop the data that it could not write and then report
        success (PostgreSQL, "fsync() surprise", 2018).
        """
        grown = [file for file in (self, *beside) if file._synced < file.size]
        for file in grown:
            os.fdatasync(file._fd)
        if any(file._synced < 0 for file in grown):
            sync_directory(self.path.parent)
        for file in grown:
            file._synced = file.size

    def close(self, *, sync: bool = True) -> None:
        """Close the file and release its lock; with ``sync``, bring it to the disk first. Raises OSError."""
        try:
            if sync:
                os.fsync(self._fd)
                sync_directory(self.path.parent)
        finally:
            os.close(self._fd)


def abandoned(template: PathTemplate) -> Iterator[Path]:
    """Yield the ``.part`` files of ``template`` whose writers were killed, each locked until the next is asked for."""
    for partial in sorted(template.root.glob(template.pattern + PARTIAL_SUFFIX)):
        try:
            fd = os.open(partial, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # just published by its writer, a symbolic link, or not writable for us
            continue
        try:
            if _lock(fd, partial, if_unsupported=False) and not _may_be_new(fd):
                yield partial
        finally:
            os.close(fd)


def _may_be_new(fd: int) -> bool:
    """Return whether a writer may have created the file and not locked it yet; the next start looks again."""
    found = os.fstat(fd)
    return not found.st_size and time.time() - found.st_mtime < EMPTY_PARTIAL_GRACE


def _lock(fd: int, path: Path, *, if_unsupported: bool = True) -> bool:
    """Lock the open file and check that it still has its name; ``if_unsupported`` on file systems without locks."""
    try:
        return try_lock(fd) and is_at(fd, path)
    except OSError:
        return if_unsupported
