"""A process that is killed between two system calls, and file systems that cannot rename without overwriting."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from flowcore import files

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
        patch.setattr(files, "_renameat2", dying(files._renameat2))
        try:
            action()
        except Killed:
            return True
    return False


def _refuse(number: int) -> Callable[..., None]:
    def call(*args: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    return call


REFUSED: dict[str, dict[str, int]] = {
    "ext4": {},
    "NFS": {"renameat2": errno.EINVAL},
    "FAT": {"renameat2": errno.EINVAL, "link": errno.EPERM},
    "SMB": {"renameat2": errno.ENOSYS, "link": errno.EOPNOTSUPP},
}
"""How file systems refuse what would rename without overwriting."""


def use_file_system(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse what that file system refuses."""
    for call, number in REFUSED[name].items():
        if call == "renameat2":
            monkeypatch.setattr(files, "_renameat2", _refuse(number))
        else:
            monkeypatch.setattr(os, call, _refuse(number))


on_each_file_system = pytest.mark.parametrize("file_system", REFUSED)
