"""The client of a tap on a running call: see `flowcore.control.taps`."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowcore.control.client import ask, find_call
from flowcore.control.errors import NoSuchCall, without_answer
from flowcore.errors import UsageError

HELLO_TIMEOUT = 5.0
"""Seconds until the hello arrives."""
READ_SIZE = 65536


class TapConnection:
    """A connection to a tap. ``call`` is any id of the call, the beginning of one, or ``newest``.

    ``node`` is ``name``, ``name.port``, or empty for the first node that gives linear audio. ``hello`` describes the
    stream; ``lost`` counts the chunks dropped because this client was slow; ``end`` is the reason of the call's end,
    None before it, and empty when the process is gone.
    """

    def __init__(self, path: Path, call: str, node: str = "") -> None:
        """Open a tap through the hub at ``path``. Raises `UsageError`."""
        flow = find_call(path, call)["flow"]
        name, _, port = node.partition(".")
        answers, missing = ask(path, {"ask": "tap", "flow": flow, "node": name, "port": port})
        answer = next((one for one in answers.values() if one), None)
        if answer is None:
            raise NoSuchCall(f"call {flow} has just ended{without_answer(missing)}", missing)
        if "error" in answer:
            raise UsageError(answer["error"])
        self.lost = 0
        self.end: str | None = None
        self._data = bytearray()
        self._socket = socket.socket(socket.AF_UNIX)
        self.hello: dict[str, Any] = {}
        try:
            self._socket.connect(answer["path"])
            self.hello = next((head for head, _ in self._read(HELLO_TIMEOUT)), {})
        finally:
            if not self.hello:
                self.close()
        if not self.hello:
            raise UsageError(f"no answer from {flow} within {HELLO_TIMEOUT:g} s")

    def __enter__(self) -> TapConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def messages(self, wait: float) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield the description and the samples of each chunk received, after at most ``wait`` seconds.

        Beside the fields of the chunk, a description has ``lost``: the chunks dropped before this one.
        """
        for head, data in self._read(wait):
            if "chunk" not in head:
                self.end = head["end"]
                return
            self.lost += head["lost"]
            yield {**head["chunk"], "lost": head["lost"]}, data

    def _read(self, wait: float) -> Iterator[tuple[dict[str, Any], bytes]]:
        if (message := self._next_message()) is None and self.end is None:
            if select.select([self._socket], [], [], wait)[0]:
                data = self._socket.recv(READ_SIZE)
                self._data += data
                if not data:
                    self.end = ""
            message = self._next_message()
        while message is not None:
            yield message
            message = self._next_message()

    def _next_message(self) -> tuple[dict[str, Any], bytes] | None:
        """Return the next message, or None until it is complete."""
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
