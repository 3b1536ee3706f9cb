"""A stream that never keeps its writer waiting: what a pipe or a disk does not take now waits in a thread."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from typing import TextIO

MOST = 10_000
"""Pieces of text that wait at most; more are dropped and counted in ``lost``."""
PATIENCE = 2.0
"""Seconds that the end of the process waits for a reader."""


class Patient:
    """As much of a text file as a logger needs; whoever writes is never held up, nor told of an error."""

    def __init__(self, stream: TextIO) -> None:
        self.lost = 0
        self._stream = stream
        self._waiting: deque[str] = deque()
        self._more = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._serve, name="flowcore-log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, text: str) -> None:
        if len(self._waiting) >= MOST:
            self.lost += 1
            return
        self._waiting.append(text)
        self._more.set()

    def flush(self) -> None:
        """Nothing to do: each piece is flushed as it is written."""

    def close(self) -> None:
        """Let all that waits be written, if somebody takes it within ``PATIENCE`` seconds."""
        self._ending = True
        self._more.set()
        self._thread.join(PATIENCE)
        atexit.unregister(self.close)

    def _serve(self) -> None:
        while True:
            self._more.wait()
            self._more.clear()
            while self._waiting:
                text = self._waiting.popleft()
                try:
                    self._stream.write(text)
                    self._stream.flush()
                except (OSError, ValueError):  # a full disk, a reader that has gone, a stream that was closed
                    self.lost += 1
            if self._ending:
                return
