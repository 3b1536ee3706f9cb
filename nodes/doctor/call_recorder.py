"""Writer of the doctor's recording of a call: see `nodes.ringcx.call_recording`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from websockets.http11 import Request

from flowcore.files import NewFile, publish
from nodes.doctor.redact_grpc import redact_event
from nodes.ringcx.call_recording import VERSION, Closed, Message, Opened, Record, encode
from nodes.ringcx.listener_config import Transport
from nodes.ringcx.redact import Redactor

MAX_SIZE = 1 << 30
"""Bytes of a recording at most: some 9 hours."""


class CallRecorder:
    """Writes a new file, named with ``.part`` until it is complete. Raises `OSError` if the file cannot be opened.

    ``error`` is the reason why the recording stopped early: a full disk must not end the examination.
    """

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self.error = ""
        self._redactor = redactor
        self._redact = redactor.message
        self._file = NewFile(path, partial=True)

    def begin(self, request: Request, now: float, transport: Transport = "websocket") -> None:
        """Record the request, which came at ``now``, in monotonic seconds."""
        redact = self._redactor
        if transport == "grpc":
            self._redact = lambda data: redact_event(data, redact)
        headers = [(redact.text(name), redact.header(name, value)) for name, value in request.headers.raw_items()]
        recorded = datetime.now().astimezone().isoformat(timespec="seconds")
        self._write(Opened(VERSION, now, recorded, redact.path(request.path), headers, transport))

    def message(self, data: bytes, now: float) -> None:
        """Record a message that arrived at ``now``."""
        if not self.error:
            self._write(Message(now, self._redact(data)))

    def close(self, reason: str, code: int | None, now: float) -> Path | None:
        """Record the end; return the path of the recording, or None if it failed."""
        if not self.error:
            self._write(Closed(now, reason, code))
        try:
            self._file.close()
            self._file.check_name()
            return publish(self._file.path)
        except OSError as error:
            self.error = self.error or f"{self._file.path}: {error.strerror}"
            return None

    def _write(self, record: Record) -> None:
        if self._file.size > MAX_SIZE:
            self.error = "the recording has reached 1 GiB, and ends before the call"
            return
        try:
            self._file.append(encode(record))
        except OSError as error:
            self.error = f"the recording ends before the call: {self._file.path}: {error.strerror}"
