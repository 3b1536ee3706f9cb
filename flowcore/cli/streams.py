"""The standard streams of a process, which may be closed, full, slow or without a reader."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections import deque
from typing import TextIO

MAX_WAITING = 10_000
"""Texts that wait at most; further ones are dropped and counted in ``lost``."""
CLOSE_TIMEOUT = 2.0
"""Seconds that the end of the process waits until all texts are written."""


def occupy_closed() -> None:
    """Put the null device where a standard stream is closed (``2>&-``).

    Otherwise the next file or socket would get that number, and receive the output.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    sys.stdin = sys.stdin or _null()
    sys.stdout = sys.stdout or _null()
    sys.stderr = sys.stderr or _null()


def give_up_output() -> None:
    """Drop output that could not be written, so that the end of the process does not try again."""
    sys.stdout = _null()


def _null() -> TextIO:
    return open(os.devnull, "r+", encoding="utf-8")


class BackgroundWriter:
    """A text stream for a logger: `write` never blocks and never raises, and a thread writes to ``stream``."""

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
        if len(self._waiting) >= MAX_WAITING:
            self.lost += 1
            return
        self._waiting.append(text)
        self._more.set()

    def flush(self) -> None:
        """Do nothing: the thread flushes each text."""

    def close(self) -> None:
        """Write all waiting texts, for at most ``CLOSE_TIMEOUT`` seconds."""
        self._ending = True
        self._more.set()
        self._thread.join(CLOSE_TIMEOUT)
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
