"""Watch a folder as a sync job or a player does: every file is opened the moment it appears under its final name."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

MODIFY, MOVED_TO, CREATE, OVERFLOW = 0x2, 0x80, 0x100, 0x4000  # <sys/inotify.h>
_EVENT = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, length of the name that follows
UNFINISHED = (".part", ".new", ".lock")


@dataclass
class Watch:
    """Contents of the files of a folder, read when each appeared; `changed` are those that were written to later."""

    folder: Path
    appeared: dict[str, list[bytes]] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    overflowed: bool = False

    def take(self, events: bytes) -> None:
        """Handle what one ``read`` of inotify returned."""
        while events:
            _, mask, _, length = _EVENT.unpack_from(events)
            name = os.fsdecode(events[_EVENT.size : _EVENT.size + length].rstrip(b"\0"))
            events = events[_EVENT.size + length :]
            self.overflowed |= bool(mask & OVERFLOW)
            if name.endswith(UNFINISHED):
                continue
            if mask & (CREATE | MOVED_TO):
                self.appeared.setdefault(name, []).append((self.folder / name).read_bytes())
            elif mask & MODIFY:
                self.changed.append(name)


@contextmanager
def watching(folder: Path) -> Iterator[Watch]:
    """Watch ``folder`` while the block runs; all events until its end are taken."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = Watch(folder)
    fd = libc.inotify_init1(os.O_CLOEXEC)
    assert libc.inotify_add_watch(fd, os.fsencode(folder), CREATE | MOVED_TO | MODIFY) > 0
    ending, end = os.pipe()

    def follow() -> None:
        while fd in (ready := select.select([fd, ending], [], [])[0]) or ending not in ready:
            watch.take(os.read(fd, 1 << 16))

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield watch
    finally:
        os.write(end, b"\0")
        thread.join()
        for number in (fd, ending, end):
            os.close(number)
