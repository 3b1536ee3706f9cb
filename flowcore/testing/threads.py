"""Threads on a virtual clock: a node may be slow or stuck for hours in a test that takes milliseconds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import Any

from flowcore.engine.pool import Strand

_here = threading.local()


def spend(seconds: float) -> None:
    """Let the caller take ``seconds``, as work or a blocking call does.

    In a thread of a `VirtualPool` the time is virtual and all else goes on. In the event loop's thread on a virtual
    clock the time is virtual and all else waits. Elsewhere the time is real.
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
    """Run strands in threads, one at a time, and only while the event loop waits: so there is one possible outcome.

    A strand that calls `spend` is suspended until the clock reaches its time; `close` ends the strands that are still
    suspended. The number of threads has no limit.
    """

    def __init__(self) -> None:
        self.threads = 0
        self._queue: deque[Strand] = deque()
        self._idle: list[_Worker] = []
        self._workers: list[_Worker] = []

    def submit(self, strand: Strand) -> None:
        self._queue.append(strand)

    def wake(self) -> None:
        """Do nothing: the next slot runs the strands."""

    def rebalance(self) -> None:
        while self._queue:
            strand = self._queue.popleft()
            if not self._idle:
                self.threads += 1
                self._idle.append(_Worker())
                self._workers.append(self._idle[-1])
            worker = self._idle.pop()
            worker.strand = strand
            self._resume(worker)

    def _resume(self, worker: _Worker) -> None:
        seconds = worker.resume()
        if seconds is None:
            self._idle.append(worker)
        elif seconds < float("inf"):
            asyncio.get_running_loop().call_later(seconds, self._resume, worker)

    def close(self) -> None:
        for worker in self._workers:
            worker.end()


class _Abandoned(KeyboardInterrupt):
    """Raised in a suspended strand when the pool closes: like Ctrl-C, no node is blamed for it."""


class _Worker:
    """A thread that takes turns with the event loop's thread."""

    def __init__(self) -> None:
        self.strand: Strand | None = None
        self._ended = False
        self._wait: float | None = None
        self._worker_turn = threading.Semaphore(0)
        self._loop_turn = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._serve, name="flowcore-virtual", daemon=True)
        self._thread.start()

    def resume(self) -> float | None:
        """Run the thread until its strand is done (None), or calls `spend`: then return the seconds."""
        if self._ended:  # at its end the loop may reach the time of a strand that was ended
            return float("inf")
        self._worker_turn.release()
        self._loop_turn.acquire()
        return self._wait

    def spend(self, seconds: float) -> None:
        """Suspend the strand; called in the thread."""
        self._wait = seconds
        self._loop_turn.release()
        self._worker_turn.acquire()
        self._wait = None
        if self._ended:
            raise _Abandoned

    def end(self) -> None:
        """End the thread, also in the middle of a strand."""
        self._ended = True
        self._worker_turn.release()
        self._thread.join()

    def _serve(self) -> None:
        _here.worker = self
        while True:
            self._worker_turn.acquire()
            if self._ended or self.strand is None:
                return
            try:
                self.strand.run()
            except _Abandoned:
                return
            self.strand = None
            self._loop_turn.release()
