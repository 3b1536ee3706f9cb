"""Processes and disks that fail while files are written: kills between system calls, old file systems, full disks."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from flowcore.files import NewFile, disk

CALLS = ("open", "write", "rename", "link", "unlink", "ftruncate", "fsync", "fdatasync")
"""The functions of `os` that change a disk."""


class Killed(BaseException):
    """Nothing of the process runs after it."""


def killed_at(moment: int, monkeypatch: pytest.MonkeyPatch, action: Callable[[], Any]) -> bool:
    """Run ``action``, killed before its ``moment``-th change of the disk; False where it ended before that."""
    left = moment

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:  # also the calls of handlers that run after the kill
                raise Killed
            return change(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, dying(getattr(os, name)))
        patch.setattr(disk, "_renameat2", dying(disk._renameat2))
        try:
            action()
        except Killed:
            return True
    return False


def refuse(module: Any, name: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a function of a module raise an OSError with this number."""

    def call(*args: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, name, call)


REFUSED: dict[str, list[tuple[Any, str, int]]] = {
    "local": [],
    "nfs": [(disk, "_renameat2", errno.EINVAL)],
    "fuse": [(disk, "_renameat2", errno.EINVAL), (os, "link", errno.EPERM)],
    "sandbox": [(disk, "_renameat2", errno.ENOSYS), (os, "link", errno.EOPNOTSUPP)],
}
"""How file systems refuse to rename without overwriting."""


def use_file_system(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse what that file system refuses."""
    for module, call, number in REFUSED[name]:
        refuse(module, call, number, monkeypatch)


on_each_file_system = pytest.mark.parametrize("file_system", REFUSED)


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """A disk that is full when a file has ``size`` bytes, played by the kernel."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def left(path: Path, data: bytes) -> Path:
    """The ``.part`` file of ``path``, as a killed process leaves it."""
    file = NewFile(path, partial=True)
    file.append(data)
    file.close()
    return file.path


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """A process at its limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
    held = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.dup(0))
        yield
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
