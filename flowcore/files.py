"""Files that nobody loses: new names only, append only, and a ``.part`` at the end of the name until all is on disk.

What cannot be appended to (JSON, subtitles) is written whole by `write_whole`, or from a ``.part`` by `publish_from`.
"""

from __future__ import annotations

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
from flowcore.node import Part, Session
from flowcore.paths import PathTemplate

PART = ".part"
NEW = ".new"
NEWBORN = 60.0
"""Seconds for which an empty ``.part`` that nobody has locked is left alone."""
LOCK = ".flowcore.lock"
"""Locked, in a folder that only one run may write to, by all of its processes."""
_WORKERS = "FLOWCORE_WORKERS"
"""In the environment of a worker (`flowcore.engine.workers`): its run is that of its parent process."""


class NewFile:
    """A file that did not exist before, written by appending.

    Where the name is taken, ``-2``, ``-3``, … follows its stem: nothing is ever overwritten. With ``part`` the file
    carries ``.part`` after its name until `publish`, so that a reader sees finished files only, and is locked until
    `close`, so that `abandoned` can tell whether its writer lives; without it, it has its name from the start. What
    `append` took is with the kernel: killing this process does not lose it.
    """

    def __init__(self, wanted: Path, *, part: bool = False) -> None:
        """Create the file, and the directories above it. Raises OSError."""
        _make(wanted.parent)
        for name in _numbered(wanted):
            if name.exists() or part_of(name).exists():
                continue
            try:
                self.path = part_of(name) if part else name
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                continue  # another flow was faster
            if not part or _lock(self._fd, self.path):
                break
            os.close(self._fd)  # `abandoned` found it before it was locked
        self.size = 0
        """Length in bytes."""
        self._synced = -1  # the size at the last sync; before the first one even its name may be lost

    @classmethod
    def create(cls, template: PathTemplate, session: Session, *, part: bool = False) -> Self:
        """The file that a node's config field ``path`` asks for. Raises `CannotStart`."""
        wanted = template.resolve(session)
        try:
            return cls(wanted, part=part)
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
class Folder(Part):
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
            self._lock = _lock_run(self.path / LOCK) if self.alone else None
        except OSError as error:
            raise _cannot_create(self.path, error) from error

    def close(self) -> None:
        if self._lock is not None:
            lock, self._lock = self._lock, None
            _unlock_run(self.path / LOCK, lock)


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


def part_of(path: Path) -> Path:
    """The name of ``path`` while it is being written."""
    return path.with_name(path.name + PART)


def write_whole(path: Path, data: bytes) -> None:
    """Give ``path`` this content, new or in place of what it had, whole or not at all. Raises OSError.

    A reader, also one after a kill or a power cut, finds the old content or the new one. One writer at a time: until
    all is on the disk it lies beside ``path`` with ``.new`` after the name, where the next writer begins anew.
    """
    new = path.with_name(path.name + NEW)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        _write(fd, data)
        os.fsync(fd)
    except OSError:
        new.unlink()
        raise
    finally:
        os.close(fd)
    os.rename(new, path)
    _sync_directory(path.parent)


def publish(part: Path, before: Callable[[Path], None] | None = None) -> Path:
    """Give a finished ``.part`` file its name, or a numbered one where that is taken. Returns it; raises OSError.

    ``before`` is called with the name, to write beside it what tells of the file: whoever is killed in between does
    both again. Where it raises, the file stays a ``.part``.
    """
    name = _name_for(part, b"")
    if before is not None:
        before(name)
    os.rename(part, name)
    _sync_directory(name.parent)
    return name


def publish_from(part: Path, data: bytes) -> Path:
    """Write what was made of a ``.part`` file to the name that it stands for, or a numbered one where that is taken.

    The part stays. Whoever is killed before removing it does all again and comes to the same file. Returns the name;
    raises OSError.
    """
    name = _name_for(part, data)
    write_whole(name, data)
    return name


def set_aside(part: Path, mark: str) -> Path:
    """Rename a ``.part`` file that is damaged: ``x.wav.part`` becomes ``x.damaged.wav.part``; what it holds is left
    alone. Returns the new name; raises OSError.
    """
    own = part.with_name(part.name.removesuffix(PART))
    for name in _numbered(own.with_stem(f"{own.stem}.{mark}")):
        try:
            os.close(os.open(part_of(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        except FileExistsError:
            continue
        os.rename(part, part_of(name))
        return part_of(name)
    raise AssertionError("count() does not end")


def free_space(path: Path) -> int:
    """Bytes that may still be written below ``path``, which need not be there yet. Raises OSError."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize


def _name_for(part: Path, data: bytes) -> Path:
    """The name for ``part``: made as an empty file, because renaming overwrites, or found to hold ``data`` already."""
    own = part.with_name(part.name.removesuffix(PART))
    for name in _numbered(own):
        if name != own and part_of(name).exists():
            continue  # it belongs to another flow
        try:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        except FileExistsError:
            # Somebody else's, or of our own: its writer was killed at this point, or just behind it.
            if not (name == own and _holds(name, b"")) and not (data and _holds(name, data)):
                continue
        return name
    raise AssertionError("count() does not end")


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _write(fd: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        done += os.write(fd, data[done:] if done else data)


def abandoned(template: PathTemplate) -> Iterator[Path]:
    """The ``.part`` files of ``template`` whose writers were killed, each locked until the next one is asked for."""
    for part in sorted(template.root.glob(template.pattern + PART)):
        try:
            fd = os.open(part, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # its writer has just finished it, or it is not ours to touch
            continue
        try:
            if _lock(fd, part, unlockable=False) and not _newborn(fd):
                yield part
        finally:
            os.close(fd)


def _newborn(fd: int) -> bool:
    """Whether its writer may be between creating and locking it: the next start will know better."""
    found = os.fstat(fd)
    return not found.st_size and time.time() - found.st_mtime < NEWBORN


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
