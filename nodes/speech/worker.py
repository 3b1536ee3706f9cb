"""One thread that decodes for all calls, so that a model which serves one caller at a time has only one.

Finals go before interims. A party has at most one interim waiting: a newer one takes its place in the line, its final
takes it out. So under load the interims get rarer, and a final waits for other finals and for one decode at most.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nodes.speech.decoder import DecodeFailed


@dataclass(frozen=True)
class Job:
    """Audio to decode: of ``party``, whose results come back in order, for ``owner``, who can take all jobs back.

    ``done`` is called in the worker's thread with the text, or with the error that came instead.
    """

    owner: object
    party: object
    samples: NDArray[np.int16]
    final: bool
    done: Callable[[str | Exception], None]


class Worker:
    """Decodes jobs with ``decode`` in a thread of its own, which calls ``cleanup`` last."""

    def __init__(self, decode: Callable[[NDArray[np.int16]], str], cleanup: Callable[[], None]) -> None:
        self._decode = decode
        self._cleanup = cleanup
        self._finals: deque[Job] = deque()
        self._interims: dict[object, Job] = {}  # by party; a dict keeps a place in the line when its job changes
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="decode", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> bool:
        """Put a job in line; True when an interim of the same party was still waiting and gave way.

        Raises `DecodeFailed` once closed.
        """
        with self._changed:
            if self._closed:
                raise DecodeFailed("the engine is closed")
            if job.final:
                stale = self._interims.pop(job.party, None)
                self._finals.append(job)
            else:
                stale = self._interims.get(job.party)
                self._interims[job.party] = job
            self._changed.notify()
            return stale is not None

    def forget(self, owner: object) -> None:
        """Take all waiting jobs of ``owner`` back; one that is being decoded still reports."""
        with self._changed:
            self._finals = deque(job for job in self._finals if job.owner is not owner)
            self._interims = {party: job for party, job in self._interims.items() if job.owner is not owner}

    def close(self, timeout: float) -> bool:
        """Refuse what waits, and end the thread; False when it still decodes after ``timeout`` seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                outcome: str | Exception = self._decode(job.samples)
            except Exception as error:  # whatever it is, it is this job's, and other calls need the thread
                outcome = error
            job.done(outcome)
        for job in (*self._finals, *self._interims.values()):
            job.done(DecodeFailed("the engine was closed"))
        self._cleanup()

    def _next(self) -> Job | None:
        with self._changed:
            while not (self._finals or self._interims or self._closed):
                self._changed.wait()
            if self._closed:
                return None
            return self._finals.popleft() if self._finals else self._interims.pop(next(iter(self._interims)))
