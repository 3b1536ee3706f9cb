"""Where the control sockets of this user's processes lie."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flowcore.errors import CannotStart


def is_stale(path: Path) -> bool:
    """Whether this is the socket of a process that is dead."""
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
    """Where the sockets of this user's processes lie. Raises `CannotStart` when another user could get at them."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "flowcore" if runtime else Path(tempfile.gettempdir()) / f"flowcore-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise CannotStart(f"cannot make {folder}: {error.strerror}; give --control a path") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise CannotStart(f"{folder} is not this user's alone: remove it, or give --control a path")
    return folder


def running() -> Iterator[Path]:
    """The sockets of this user's running processes."""
    for path in sorted(directory().glob("*.sock")):
        if is_stale(path):
            path.unlink(missing_ok=True)
        else:
            yield path
