"""The recording that the doctor makes of a connection: see `nodes.ringcx.call_recording`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from websockets.http11 import Request

from flowcore import NewFile, publish
from nodes.doctor.redact import Redactor
from nodes.ringcx.call_recording import VERSION, Closed, Message, Opened, Record, encode

MOST = 1 << 30
"""Bytes of a recording at most: some 9 hours."""


class CallRecorder:
    """A file that did not exist before; ``.part`` follows its name until it is whole. Raises OSError at its start.

    ``trouble`` says why it has stopped before the end: a full disk must not end the examination.
    """

    def __init__(self, path: Path, veil: Redactor) -> None:
        self.trouble = ""
        self._veil = veil
        self._file = NewFile(path, partial=True)

    def begin(self, request: Request, now: float) -> None:
        """The request, which came at ``now``, monotonic seconds."""
        headers = [
            (self._veil.text(name), self._veil.header(name, value)) for name, value in request.headers.raw_items()
        ]
        recorded = datetime.now().astimezone().isoformat(timespec="seconds")
        self._write(Opened(VERSION, now, recorded, self._veil.path(request.path), headers))

    def message(self, data: bytes, now: float) -> None:
        """A message that arrived at ``now``."""
        if not self.trouble:
            self._write(Message(now, self._veil.message(data)))

    def close(self, reason: str, code: int | None, now: float) -> Path | None:
        """The end; returns where the recording is, if there is any."""
        if not self.trouble:
            self._write(Closed(now, reason, code))
        try:
            self._file.close()
            return publish(self._file.path)
        except OSError as error:
            self.trouble = self.trouble or f"{self._file.path}: {error.strerror}"
            return None

    def _write(self, event: Record) -> None:
        if self._file.size > MOST:
            self.trouble = "the recording has reached 1 GiB, and ends before the call"
            return
        try:
            self._file.append(encode(event))
        except OSError as error:
            self.trouble = f"the recording ends before the call: {self._file.path}: {error.strerror}"
