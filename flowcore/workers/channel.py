"""The channel between a supervisor and one worker: a socket pair with one JSON object a line.

When the channel closes, the other side is dead. The supervisor sends:

- first the job: ``{"number": 1, "call_limit": {...}, "sockets": [[host, port, fd], ...], "job": {...}}``
- ``{"id": 7, "ask": ..., ...}``: a request from the control socket
- ``{"from": 2, "messages": [[resource, message], ...]}``: messages of worker 2, or ``null`` when that worker has ended
- ``{"id": 8, "ask": "prepare", "graph": {...}}``: the same, for `Engine.prepare`; the answer is the error, if any
- ``{"finish": 7200}``, ``{"hand_over": 7200}`` or ``{"stop": true}``: the methods of `Engine` with these names
- ``{"activate": true}`` or ``{"discard": true}``: what becomes of the graph that all workers, or not all, prepared

A worker sends:

- ``{"event": {...}}``: an event of ``FORWARDED_EVENTS``
- ``{"observed": {...}}``: an event as the log shows it, where the run is observed
- ``{"totals": {...}}``: its counters, in place of those it sent before
- ``{"messages": [[resource, message], ...]}``: messages for the same resources in all other workers
- ``{"alive": true}``: a heartbeat
- ``{"id": 7, "answer": ...}``: an answer; without ``answer`` when the worker does not know the request
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final

MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes of a line at most: enough for the answer of a worker with thousands of calls."""
MAX_BATCH: Final = 20
"""Messages of resources in one line at most."""
ANNOUNCED_EVENTS: Final = frozenset({"listener_opened", "page_opened"})
"""Events that the supervisor emits once for all workers."""
FORWARDED_EVENTS: Final = ANNOUNCED_EVENTS | {"file_finished", "flow_opened", "flow_closed"}
"""Events of a worker that it sends to its supervisor."""


class Channel:
    """One end of the channel, in an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Channel:
        """Take over one end of the socket pair."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=MAX_LINE))

    @property
    def congested(self) -> bool:
        """Whether the other side has left ``MAX_LINE`` bytes unread."""
        return self._writer.transport.get_write_buffer_size() >= MAX_LINE

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message without waiting; a message to a dead process is dropped."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message, default=str).encode() + b"\n")

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the messages of the other side until it is dead."""
        with suppress(ConnectionResetError):
            while (line := await self._reader.readline()).endswith(b"\n"):  # else it was killed while it wrote
                yield json.loads(line)

    def close(self) -> None:
        """Hang up, once all messages are sent."""
        self._writer.close()

    async def wait_closed(self) -> None:
        """Wait until all messages are sent, or cannot be sent any more."""
        with suppress(OSError):
            await self._writer.wait_closed()
