"""Paths of the control sockets of this user's processes."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flowcore.errors import CannotStart

SERVICE_DIRECTORY = Path("/run/flowcore")
"""The folder of a service whose unit says ``RuntimeDirectory=flowcore`` (systemd.exec(5)). Root finds it there."""


FINISHING = ".finishing"
"""Ends the name of the socket of a process whose port another one has taken over, until its last call has ended."""


def finishing_path(path: Path) -> Path:
    """Return the path to which this process moves its socket at ``path`` when another process takes over."""
    name, pid = path.name.removesuffix(".sock"), str(os.getpid())
    return path.with_name(f"{name if name == pid else f'{name}.{pid}'}{FINISHING}")


def finishing(path: Path) -> list[Path]:
    """Return the sockets of living processes that stepped aside from ``path``, or from any path of a folder."""
    return _living(path, f"*{FINISHING}") if path.is_dir() else _living(path.parent, f"{path.name}.*{FINISHING}")


def is_stale(path: Path) -> bool:
    """Whether ``path`` is the socket of a dead process."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def directory() -> Path:
    """Return the folder of this user's control sockets; that of a service is the one which its manager made for it.

    Raises `CannotStart` when it cannot be made, as on a read-only disk, or when another user has access to it.
    """
    if service := os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]:
        return _private(Path(service))
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    try:
        folder = Path(runtime) / "flowcore" if runtime else Path(tempfile.gettempdir()) / f"flowcore-{os.getuid()}"
    except FileNotFoundError as error:
        text = "no folder for temporary files can be written to"
        raise CannotStart(f"{text}: set TMPDIR or XDG_RUNTIME_DIR, or give --control a path") from error
    return _private(folder)


def _private(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise CannotStart(f"cannot make {folder}: {error.strerror}; give --control a path") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise CannotStart(f"{folder} is accessible to other users: remove it, or give --control a path")
    return folder


def running() -> Iterator[Path]:
    """Yield the sockets of this user's running processes, for root also of a service's; remove stale ones.

    A process that has been taken over is found through the one that followed it; by itself only when that is gone.
    """
    folders = dict.fromkeys([directory(), *([SERVICE_DIRECTORY] if os.access(SERVICE_DIRECTORY, os.W_OK) else [])])
    for folder in folders:
        yield from running_in(folder) or finishing(folder)


def running_in(folder: Path) -> list[Path]:
    """Return the sockets of the processes that run in a folder of `directory`; remove stale ones."""
    return _living(folder, "*.sock")


def _living(folder: Path, pattern: str) -> list[Path]:
    found = []
    for path in sorted(folder.glob(pattern)):
        if is_stale(path):
            path.unlink(missing_ok=True)
        else:
            found.append(path)
    return found
