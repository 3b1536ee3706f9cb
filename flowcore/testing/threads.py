"""Threads on a virtual clock: a node may be slow or stuck in one for hours, and a test of it takes milliseconds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import Any

from flowcore.engine.pool import Strand

_here = threading.local()


def spend(seconds: float) -> None:
    """Take so long, as work or a blocking call does.

    In a thread of a `VirtualPool` virtual time passes for everybody else meanwhile; in the event loop's thread on a
    virtual clock it passes and everybody waits; anywhere else it is real time.
    """
    worker = getattr(_here, "worker", None)
    if worker is not None:
        worker.spend(seconds)
        return
    try:
        clock: Any = getattr(asyncio.get_running_loop(), "clock", None)
    except RuntimeError:  # not in an event loop's thread
        clock = None
    if clock is not None:
        clock.advance(seconds)
    else:
        time.sleep(seconds)


class VirtualPool:
    """Runs strands in threads of which one runs at a time, and only while the event loop waits for it.

    So there is one possible outcome. A strand that calls `spend` is put aside, and goes on when the clock has got
    there; those that never get there are ended with the pool. There is no limit to the number of threads.
    """

    def __init__(self) -> None:
        self.threads = 0
        self._line: deque[Strand] = deque()
        self._idle: list[_Worker] = []
        self._workers: list[_Worker] = []

    def submit(self, strand: Strand) -> None:
        self._line.append(strand)

    def wake(self) -> None:
        """The next slot will do."""

    def rebalance(self) -> None:
        while self._line:
            strand = self._line.popleft()
            if not self._idle:
                self.threads += 1
                self._idle.append(_Worker())
                self._workers.append(self._idle[-1])
            worker = self._idle.pop()
            worker.strand = strand
            self._go_on(worker)

    def _go_on(self, worker: _Worker) -> None:
        seconds = worker.go_on()
        if seconds is None:
            self._idle.append(worker)
        elif seconds < float("inf"):
            asyncio.get_running_loop().call_later(seconds, self._go_on, worker)

    def close(self) -> None:
        for worker in self._workers:
            worker.end()


class _Abandoned(KeyboardInterrupt):
    """Unwinds a strand that is put aside when the pool closes: as Ctrl-C, which no node is blamed for."""


class _Worker:
    """One thread and the baton that it and the event loop's thread hand to each other."""

    def __init__(self) -> None:
        self.strand: Strand | None = None
        self._ended = False
        self._asked: float | None = None
        self._mine = threading.Semaphore(0)
        self._theirs = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._serve, name="flowcore-virtual", daemon=True)
        self._thread.start()

    def go_on(self) -> float | None:
        """Let the thread run until it is done (None) or wants so many seconds to pass first."""
        if self._ended:  # the loop's own end may pass the time for which a strand was put aside
            return float("inf")
        self._mine.release()
        self._theirs.acquire()
        return self._asked

    def spend(self, seconds: float) -> None:
        """Called in the thread."""
        self._asked = seconds
        self._theirs.release()
        self._mine.acquire()
        self._asked = None
        if self._ended:
            raise _Abandoned

    def end(self) -> None:
        """Let the thread go, wherever it is."""
        self._ended = True
        self._mine.release()
        self._thread.join()

    def _serve(self) -> None:
        _here.worker = self
        while True:
            self._mine.acquire()
            if self._ended or self.strand is None:
                return
            try:
                self.strand.run()
            except _Abandoned:
                return
            self.strand = None
            self._theirs.release()
