"""The side that listens to a running call: see `flowcore.control.taps`."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from flowcore.control.client import ask, find_call, unheard
from flowcore.errors import UsageError

PATIENCE = 5.0
"""Seconds until the first word."""
READ = 65536


class TapConnection:
    """``call`` is a flow, a call id, a beginning of one, or newest; ``node`` is ``name``, ``name.port`` or empty.

    ``hello`` says what it is; ``lost`` counts the chunks that were dropped because this side was slow; ``end`` is why
    the call ended, None before, and empty when its process is gone.
    """

    def __init__(self, path: Path, call: str, node: str = "") -> None:
        """Ask the process whose hub is at ``path``. Raises `UsageError`."""
        flow = find_call(path, call)["flow"]
        name, _, port = node.partition(".")
        answers, missing = ask(path, {"ask": "tap", "flow": flow, "node": name, "port": port})
        answer = next((one for one in answers.values() if one), None)
        if answer is None:
            raise UsageError(f"call {flow} has just ended{unheard(missing)}")
        if "error" in answer:
            raise UsageError(answer["error"])
        self.lost = 0
        self.end: str | None = None
        self._data = bytearray()
        self._socket = socket.socket(socket.AF_UNIX)
        self.hello: dict[str, Any] = {}
        try:
            self._socket.connect(answer["path"])
            self.hello = next((head for head, _ in self._read(PATIENCE)), {})
        finally:
            if not self.hello:
                self.close()
        if not self.hello:
            raise UsageError(f"no answer from {flow} within {PATIENCE:g} s")

    def __enter__(self) -> TapConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def messages(self, wait: float) -> Iterator[tuple[dict[str, Any], bytes]]:
        """What came, waiting for it so many seconds at most: what is said of each chunk, and its samples."""
        for head, data in self._read(wait):
            if "end" in head:
                self.end = head["end"]
                return
            self.lost += head["lost"]
            yield head, data

    def _read(self, wait: float) -> Iterator[tuple[dict[str, Any], bytes]]:
        if (message := self._whole()) is None and self.end is None:
            if select.select([self._socket], [], [], wait)[0]:
                data = self._socket.recv(READ)
                self._data += data
                if not data:
                    self.end = ""
            message = self._whole()
        while message is not None:
            yield message
            message = self._whole()

    def _whole(self) -> tuple[dict[str, Any], bytes] | None:
        """The next message, once all of it is there."""
        line = self._data.find(b"\n")
        if line < 0:
            return None
        head = json.loads(self._data[:line])
        until = line + 1 + head.get("bytes", 0)
        if len(self._data) < until:
            return None
        data = bytes(self._data[line + 1 : until])
        del self._data[:until]
        return head, data
