"""Events of the run for many readers at once, each with a short queue of its own."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

MAX_QUEUE: Final = 500
"""Events that wait for one reader; one that is further behind is dropped."""
MAX_READERS: Final = 1000
"""Readers at once."""
KEEP_ALIVE: Final = 15.0
"""Seconds without an event after which a reader gets a comment, so that proxies keep the connection."""


class EventReader:
    """The queue of one reader. ``call`` selects the events of one flow, or all when it is empty."""

    def __init__(self, call: str) -> None:
        self.call = call
        self.dropped = False
        self._ended = False
        self._frames: deque[bytes] = deque()
        self._changed = asyncio.Event()

    def put(self, frame: bytes) -> bool:
        """Queue a frame. Returns False when the reader is too slow, and has lost its place."""
        if len(self._frames) >= MAX_QUEUE:
            self.dropped = True
            self._frames.clear()
        else:
            self._frames.append(frame)
        self._changed.set()
        return not self.dropped

    def end(self) -> None:
        """Let `frames` end after those that wait."""
        self._ended = True
        self._changed.set()

    async def frames(self, keep_alive: float = KEEP_ALIVE) -> AsyncIterator[bytes]:
        """Yield frames of the stream until the reader is dropped, or the events end."""
        yield b": connected\n\n"
        while True:
            while self._frames:
                yield self._frames.popleft()
            if self.dropped or self._ended:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(keep_alive):
                    await self._changed.wait()
            except TimeoutError:
                yield b": still here\n\n"


class EventFeed:
    """Passes events on to its readers, in the event loop. ``on_dropped`` is called for each reader that is dropped."""

    def __init__(self, on_dropped: Callable[[], None]) -> None:
        self._on_dropped = on_dropped
        self._readers: set[EventReader] = set()
        self._number = 0

    def open(self, call: str = "") -> EventReader | None:
        """Add a reader; None when there are `MAX_READERS`."""
        if len(self._readers) >= MAX_READERS:
            return None
        reader = EventReader(call)
        self._readers.add(reader)
        return reader

    def close(self, reader: EventReader) -> None:
        """Remove a reader."""
        self._readers.discard(reader)

    def end(self) -> None:
        """Let all readers end."""
        for reader in self._readers:
            reader.end()

    def publish(self, event: Mapping[str, Any], missed: int = 0) -> None:
        """Queue an event for all readers. Ids count on; they skip the ``missed`` events that did not come this far."""
        self._number += 1 + missed
        frame = f"id: {self._number}\nevent: {event['event']}\ndata: {json.dumps(event)}\n\n".encode()
        for reader in tuple(self._readers):
            if reader.call in ("", event.get("flow")) and not reader.put(frame):
                self._readers.discard(reader)
                self._on_dropped()
