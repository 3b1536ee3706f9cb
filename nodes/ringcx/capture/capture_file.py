"""One capture: the connection's side, which never waits, and the file, which a thread writes."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol

from websockets.http11 import Request

from flowcore import CannotStart, Report, Session
from flowcore.events import Level
from flowcore.files import NewFile, abandoned, free_space, publish
from nodes.ringcx.call_recording import VERSION, Closed, Message, Opened, encode
from nodes.ringcx.capture.capture_config import CaptureConfig
from nodes.ringcx.listener_config import Transport
from nodes.ringcx.redact import Redactor

MAX_WAITING = 4 << 20
"""Bytes of messages that may wait for the disk: 2 minutes of a call."""

CHECK_FREE_EVERY = 1 << 20
"""Bytes that are written between two checks of the free space."""

DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)

CAPTURE_ENDED = "capture_ended"
"""The reason in the file when the call went on without its capture."""

End = Literal["complete", "stopped", "size", "length", "disk_full", "disk_failed", "disk_slow"]
"""Why a capture ended."""


class Mask(Protocol):
    """Masks the secrets of messages. Called by the thread that writes."""

    def message(self, data: bytes, silenced: Container[str]) -> bytes:
        """Return a message to be written; audio of the ``silenced`` tracks is silent in it."""


@dataclass(frozen=True)
class Connection:
    """The connection of a call: its request, as it came at ``opened_at`` (monotonic seconds)."""

    request: Request
    transport: Transport
    opened_at: float


class Capture:
    """A capture that begins at ``now``. `message` and `end` are called by the event loop, `write` by one thread.

    ``redactor`` masks the request, ``mask`` the messages. ``report`` takes the events of the call.
    """

    def __init__(
        self,
        config: CaptureConfig,
        session: Session,
        connection: Connection,
        joined: bool,
        now: float,
        redactor: Redactor,
        mask: Mask,
        report: Report,
    ) -> None:
        self.over = False
        """Whether it takes no more messages."""
        self._config = config
        self._session = session
        self._connection = connection
        self._began_at = now if joined else connection.opened_at
        self._joined = now - connection.opened_at if joined else 0.0
        self._recorded = datetime.now().astimezone() - timedelta(seconds=now - self._began_at)
        self._redactor = redactor
        self._mask = mask
        self._report = report
        self._queue: deque[tuple[float, bytes, tuple[str, ...]] | Closed] = deque()
        self._taken = 0  # bytes of messages, counted by the event loop
        self._done = 0  # of these, by the thread
        self._messages = 0
        self._free_checked_at = -CHECK_FREE_EVERY
        self._end: End | None = None
        self._file: NewFile | None = None

    def locate(self) -> Path:
        """Return the path of the file; it may get a number. Asks the disk. Raises `CannotStart`."""
        return self._config.path.resolve(self._session)

    def message(self, data: bytes, at: float, silenced: tuple[str, ...] = ()) -> None:
        """Take a message that came at ``at``, while these tracks are silenced."""
        if self.over:
            return
        self._queue.append((at, data, silenced))
        self._taken += len(data)
        if self._taken - self._done > MAX_WAITING:
            self.end("disk_slow", at)
        elif at - self._began_at >= self._config.length:
            self.end("length", at)

    def end(self, why: End, at: float, reason: str = CAPTURE_ENDED, code: int | None = None, answer: str = "") -> None:
        """End it, with the reason of the flow's end, the peer's close code and our answer, if the call has ended."""
        if not self.over:
            self.over = True
            self._queue.append(Closed(at, reason, code, answer))
            self._end = why

    def write(self) -> bool:
        """Write what waits; once it is over, close the file. Returns False when all is done."""
        over = self.over  # before the queue is emptied: nothing comes behind it
        try:
            self._write()
        except (OSError, CannotStart) as error:
            over = self.over = True
            self._end = "disk_full" if getattr(error, "errno", 0) in DISK_FULL_ERRNOS else "disk_failed"
        if over:
            self._close()
        return not over

    def _write(self) -> None:
        """Append what waits. Raises `OSError` and `CannotStart`."""
        file = self._file or self._begin()
        mask, transport = self._mask, self._connection.transport
        lines: list[bytes] = []
        while self._queue:
            item = self._queue.popleft()
            if isinstance(item, Closed):
                lines.append(encode(item))
            else:
                at, data, silenced = item
                lines.append(encode(_to_record(at, mask.message(data, silenced), transport)))
                self._messages += 1
                self._done += len(data)
        if lines:
            file.append(b"".join(lines))
        if file.size >= self._config.max:
            self.end("size", self._connection.opened_at)
        if file.size - self._free_checked_at >= CHECK_FREE_EVERY:
            self._free_checked_at = file.size
            if free_space(file.path.parent) < self._config.min_free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _begin(self) -> NewFile:
        """Create the file, with the request."""
        self._file = file = NewFile(self.locate(), partial=True, private=True)
        self._report.event("capture_opened", path=str(file.path))
        request, redactor = self._connection.request, self._redactor
        headers = [(redactor.text(name), redactor.header(name, value)) for name, value in request.headers.raw_items()]
        recorded, path = self._recorded.isoformat(timespec="microseconds"), redactor.path(request.path)
        transport = self._connection.transport
        file.append(encode(Opened(VERSION, self._began_at, recorded, path, headers, transport, self._joined)))
        return file

    def _close(self) -> None:
        """Give the file its name, and report it. A file that cannot be finished keeps ``.part``."""
        path, size = "", 0
        if self._file is not None:
            path, size = str(self._file.path), self._file.size
            with suppress(OSError):  # the next start gives it its name
                self._file.close()
                path = str(publish(self._file.path))
        self._queue.clear()
        level: Level = "info" if self._end in ("complete", "stopped") else "warning"
        data = {"path": path, "reason": self._end, "messages": self._messages, "bytes": size}
        self._report.event("capture_closed", level=level, **data)


def _to_record(at: float, data: bytes, transport: Transport) -> Message:
    if transport == "websocket":
        with suppress(UnicodeDecodeError):
            return Message(at, data.decode())
    return Message(at, data=data)


def recover_captures(config: CaptureConfig, report: Report) -> None:
    """Give captures that a killed process left their names: all whole lines in them can be played."""
    for partial in abandoned(config.path):
        try:
            if partial.stat().st_size:
                report.event("file_repaired", path=str(publish(partial)))
            else:
                partial.unlink()
        except OSError as error:
            report.event("repair_failed", path=str(partial), detail=str(error.strerror))
