"""Files that nobody loses: new names only, append only, and a ``.part`` at the end of the name until all is on disk.

What cannot be appended to (JSON, subtitles) is written whole by `write_whole`, or from a ``.part`` by `publish_from`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Self

from flowcore.errors import CannotStart
from flowcore.node import Resource, Session
from flowcore.paths import PathTemplate

PARTIAL_SUFFIX = ".part"
"""Follows the name of a file while it is being written."""
NEW_SUFFIX = ".new"
"""Follows the name of a file while `write_whole` or `publish_from` writes its content."""
EMPTY_PARTIAL_GRACE = 60.0
"""Seconds for which an empty, unlocked ``.part`` file may still belong to a writer that is about to lock it."""
LOCK_NAME = ".flowcore.lock"
"""File in a folder that only one run may write to; all processes of that run lock it."""
_WORKERS = "FLOWCORE_WORKERS"
"""Environment variable of a worker (`flowcore.workers.supervisor`), whose run is that of its parent process."""

_AT_FDCWD = -100  # from fcntl.h: relative paths start at the working directory
_RENAME_NOREPLACE = 1  # from stdio.h
_LIBC = ctypes.CDLL(None, use_errno=True)
_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP}
"""Errors of ``renameat2`` and ``link`` on file systems, or in sandboxes, that do not have them."""


class NewFile:
    """A file that did not exist before, written by appending.

    Where the name is taken, ``-2``, ``-3``, … follows its stem: nothing is ever overwritten. With ``partial`` the file
    carries ``.part`` after its name until `publish`, so that readers see finished files only, and is locked until
    `close`, so that `abandoned` knows that its writer lives. Without it, the file has its final name from the start.
    Data that `append` took is with the kernel: a kill of this process does not lose it.
    """

    def __init__(self, wanted: Path, *, partial: bool = False) -> None:
        """Create the file, and the directories above it. Raises OSError."""
        _make(wanted.parent)
        for name in _numbered(wanted):
            if name.exists() or partial_path(name).exists():
                continue
            try:
                self.path = partial_path(name) if partial else name
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                continue  # another flow was faster
            if not partial or _lock(self._fd, self.path):
                break
            os.close(self._fd)  # `abandoned` found it before it was locked
        self.size = 0
        """Length in bytes."""
        self._synced = -1  # the size at the last sync; before the first one even its name may be lost

    @classmethod
    def create(cls, template: PathTemplate, session: Session, *, partial: bool = False) -> Self:
        """The file that a node's config field ``path`` asks for. Raises `CannotStart`."""
        wanted = template.resolve(session)
        try:
            return cls(wanted, partial=partial)
        except OSError as error:
            raise _cannot_create(wanted, error) from error

    def append(self, data: bytes) -> None:
        """Write all of ``data`` or, raising OSError, nothing of it."""
        try:
            _write(self._fd, data)
        except OSError:
            os.ftruncate(self._fd, self.size)  # a full disk takes a part of the data first
            raise
        self.size += len(data)

    def sync(self, *beside: NewFile) -> None:
        """Have on the disk what was appended: from here on a power cut does not lose it. Raises OSError.

        ``beside`` are files of the same directory that go with it: their names are brought there in one go.

        Never call it again after it has raised: the kernel may have thrown away what it could not write, and would
        say that all is well (PostgreSQL, "fsync() surprise", 2018).
        """
        grown = [file for file in (self, *beside) if file._synced < file.size]
        for file in grown:
            os.fdatasync(file._fd)
        if any(file._synced < 0 for file in grown):
            _sync_directory(self.path.parent)
        for file in grown:
            file._synced = file.size

    def close(self, *, sync: bool = True) -> None:
        """Let go of the file; with ``sync``, when it is on the disk. Raises OSError."""
        try:
            if sync:
                os.fsync(self._fd)
                _sync_directory(self.path.parent)
        finally:
            os.close(self._fd)


@dataclass
class Folder(Resource):
    """The root of a `PathTemplate`, made and found writable before the first call instead of failing in each.

    With ``alone``, another run of flowcore that also wants it for itself is refused; the workers of one run share it.
    """

    path: Path
    alone: bool = False
    _lock: int | None = field(default=None, init=False, compare=False, repr=False)

    def open(self) -> None:
        try:
            _make(self.path)
            tempfile.TemporaryFile(dir=self.path).close()  # asking for permission only guesses: try
            self._lock = _lock_run(self.path / LOCK_NAME) if self.alone else None
        except OSError as error:
            raise _cannot_create(self.path, error) from error

    def close(self) -> None:
        if self._lock is not None:
            lock, self._lock = self._lock, None
            _unlock_run(self.path / LOCK_NAME, lock)


def _lock_run(path: Path) -> int:
    """Lock a folder by its file ``path`` for this run, until `_unlock_run`. Raises OSError and `CannotStart`.

    All processes of a run hold a shared lock, and the file says whose it is: who finds nobody there writes that.
    """
    process = os.getppid() if _WORKERS in os.environ else os.getpid()
    run = f"{process} on {socket.gethostname()}"  # containers that share a folder all have a process 1
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            if _try_lock(fd):
                os.ftruncate(fd, 0)
                os.pwrite(fd, run.encode(), 0)
            fcntl.flock(fd, fcntl.LOCK_SH)  # waits while another one writes; then it may be theirs
            holder = os.pread(fd, 512, 0).decode(errors="replace")
            if holder == run and _is_at(fd, path):
                return fd
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                return fd  # the file system knows no locks: then nobody is kept out
            os.close(fd)
            raise
        there = _is_at(fd, path)
        os.close(fd)
        if there:  # else whoever had it has just gone
            text = f"{path.parent} is in use by another flowcore (process {holder})"
            raise CannotStart(f"{text}: stop it, or give one of the two another folder", field="path")


def _unlock_run(path: Path, fd: int) -> None:
    with suppress(OSError):  # what is left behind harms nobody
        if _try_lock(fd) and _is_at(fd, path):  # nobody else of this run is there
            path.unlink()
    os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, path: Path) -> bool:
    """Whether the open file is the one that is at ``path``."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _make(directory: Path) -> None:
    """Make it and those above it, so that no power cut takes it away with the files that were synced in it."""
    try:
        if not directory.is_dir():
            _make(directory.parent)
            directory.mkdir(exist_ok=True)
            _sync_directory(directory.parent)
    except FileExistsError as error:  # it stands there, but is no directory
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error


def _cannot_create(path: Path, error: OSError) -> CannotStart:
    text = f"cannot write to {path}: {error.strerror}; give a path in a directory that you may write to"
    return CannotStart(text, field="path")


def partial_path(path: Path) -> Path:
    """The name of ``path`` while it is being written."""
    return path.with_name(path.name + PARTIAL_SUFFIX)


def _final_path(partial: Path) -> Path:
    return partial.with_name(partial.name.removesuffix(PARTIAL_SUFFIX))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that may exist already. A reader, a kill and a power cut find the old content or the new one.

    The data goes to ``path`` + ``.new`` first, which replaces ``path`` when it is on the disk. One writer at a time:
    the next one truncates a ``.new`` file that a kill left. Raises OSError.
    """
    new = path.with_name(path.name + NEW_SUFFIX)
    _write_synced(new, data)
    os.rename(new, path)
    _sync_directory(path.parent)


def publish(partial: Path, before: Callable[[Path], None] | None = None) -> Path:
    """Rename a finished ``.part`` file to its final name, or to a numbered one where that is taken.

    ``before`` is called with the final name just before the file gets it, to write metadata beside it. If it raises,
    the file stays a ``.part``. After a kill, the same call completes what is left to do. Returns the final name; raises
    OSError.
    """
    for name in _final_names(partial):
        if os.path.lexists(name) and not _is_same_file(partial, name):
            continue
        if before is not None:
            before(name)
        with suppress(FileExistsError):
            _rename_to_new(partial, name)
            _sync_directory(name.parent)
            return name
    raise AssertionError("count() does not end")


def publish_from(partial: Path, data: bytes) -> Path:
    """Write ``data``, made from a ``.part`` file, to the final name of that file, or to a numbered one.

    The ``.part`` file stays; the caller removes it last. After a kill before that, the same call finds the file that
    holds ``data``. Returns the final name; raises OSError.
    """
    new = partial.with_name(partial.name + NEW_SUFFIX)
    new.unlink(missing_ok=True)  # not truncated: a kill may have left it as a second name of the finished file
    _write_synced(new, data)
    for name in _final_names(partial):
        if (data or partial_path(name) == partial) and _holds(name, data):
            new.unlink()
            return name
        with suppress(FileExistsError):
            _rename_to_new(new, name)
            _sync_directory(name.parent)
            return name
    raise AssertionError("count() does not end")


def set_aside(partial: Path, mark: str) -> Path:
    """Rename a damaged ``.part`` file: ``x.wav.part`` becomes ``x.damaged.wav.part``. The content stays as it is.

    Only the owner of ``x.wav.part`` makes such names from ``x``, so the name cannot be taken between the look and the
    rename. Returns the new name; raises OSError.
    """
    own = _final_path(partial)
    names = (partial_path(name) for name in _numbered(own.with_stem(f"{own.stem}.{mark}")))
    name = next(name for name in names if not os.path.lexists(name))
    os.rename(partial, name)
    return name


def _final_names(partial: Path) -> Iterator[Path]:
    """Yield the name that ``partial`` stands for, then the numbered ones that no other flow is writing."""
    own = _final_path(partial)
    return (name for name in _numbered(own) if name == own or not partial_path(name).exists())


def _rename_to_new(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``, where no file is. Raises FileExistsError where one is, and OSError.

    ``renameat2`` does so in one step, and programs that watch the folder get the event that they wait for
    (IN_MOVED_TO). NFS and some FUSE file systems refuse its flag: there the file is linked, then unlinked. A kill
    between the two leaves one file with both names; the next call removes ``source``.
    """
    try:
        try:
            _renameat2(source, target)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
            _link_to_new(source, target)
    except FileExistsError:
        if not _is_same_file(source, target):
            raise
        os.unlink(source)


def _renameat2(source: Path, target: Path) -> None:
    call = getattr(_LIBC, "renameat2", None)  # glibc has it since 2.28, musl since 1.2.6
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(source), None, str(target))


def _link_to_new(source: Path, target: Path) -> None:
    """Move ``source`` by ``link`` and ``unlink``, or where there are no hard links by a rename after a look.

    After the latter the file is whole, too; but another program that takes the name between the look and the rename
    loses its file.
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


def _is_same_file(path: Path, other: Path) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.lstat(other))
    except FileNotFoundError:
        return False


def free_space(path: Path) -> int:
    """Bytes that may still be written below ``path``, which need not be there yet. Raises OSError."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _write_synced(path: Path, data: bytes) -> None:
    """Write a file and bring it to the disk; where that fails, remove it. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        _write(fd, data)
        os.fsync(fd)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(fd)


def _write(fd: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        done += os.write(fd, data[done:] if done else data)


def abandoned(template: PathTemplate) -> Iterator[Path]:
    """The ``.part`` files of ``template`` whose writers were killed, each locked until the next one is asked for."""
    for partial in sorted(template.root.glob(template.pattern + PARTIAL_SUFFIX)):
        try:
            fd = os.open(partial, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # its writer has just finished it, or it is not ours to touch
            continue
        try:
            if _lock(fd, partial, unlockable=False) and not _newborn(fd):
                yield partial
        finally:
            os.close(fd)


def _newborn(fd: int) -> bool:
    """Whether its writer may be between creating and locking it: the next start will know better."""
    found = os.fstat(fd)
    return not found.st_size and time.time() - found.st_mtime < EMPTY_PARTIAL_GRACE


def _lock(fd: int, path: Path, *, unlockable: bool = True) -> bool:
    """Lock the open file and see that it is still at ``path``; ``unlockable`` where the file system knows no locks."""
    try:
        return _try_lock(fd) and _is_at(fd, path)
    except OSError:
        return unlockable


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    for number in count(2):
        yield path.with_stem(f"{path.stem}-{number}")


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
