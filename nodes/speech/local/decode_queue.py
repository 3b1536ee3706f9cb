"""The line in which all calls' audio waits to be decoded: finals before interims, each party's in its order.

A party has at most one interim waiting: a newer one takes its place in the line, its final takes it out. So under load
the interims get rarer, down to finals only. When as much audio as is allowed waits for final texts, a new utterance
is refused: it stays in the line without its audio, so that its party is told in order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nodes.speech.local.context import Context
from nodes.speech.local.decoder import RATE, DecodeFailed

Outcome = str | DecodeFailed


class Overloaded(DecodeFailed):
    """More audio waits already than is allowed: this utterance is not decoded."""


def _nobody(cause: str) -> None:
    pass


@dataclass(eq=False)
class Job:
    """Audio to decode: of ``party``, whose results come back in order, for ``owner``, who can take all jobs back.

    ``done`` is called once, in a worker's thread, with the text, or with the error that came instead. ``trouble`` is
    told before that when a decoder died of the job, or of old age, and another one tries.
    """

    owner: object
    party: object
    samples: NDArray[np.int16]
    final: bool
    done: Callable[[Outcome], None]
    trouble: Callable[[str], None] = _nobody
    before: Context | None = None
    """To be decoded together with it, where there is time; what counts is the text of ``samples``."""
    deaths: int = 0
    refused: bool = False

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return len(self.samples) / RATE


class Line:
    """Jobs that wait. ``backlog``: seconds of audio of all calls together that may wait for their final texts."""

    def __init__(self, backlog: float) -> None:
        self.backlog = backlog
        self.waiting = 0.0
        """Seconds of audio that wait for their final texts."""
        self._finals: deque[Job] = deque()
        self._interims: dict[object, Job] = {}  # by party; a dict keeps a place in the line when its job changes
        self._decoding: dict[object, Job] = {}  # by party
        self._changed = threading.Condition()
        self._closed = False

    def put(self, job: Job) -> bool:
        """Get in line; True when an interim of the same party was still waiting and gave way.

        Raises `DecodeFailed` once closed.
        """
        with self._changed:
            if self._closed:
                raise DecodeFailed("the engine is closed")
            if job.final:
                stale = self._interims.pop(job.party, None)
                self._put_final(job)
            else:
                stale = self._interims.get(job.party)
                self._interims[job.party] = job
            self._changed.notify()
            return stale is not None

    def make_final(self, job: Job) -> bool:
        """What an interim job hears turns out to be all there is: its text is to be the final one.

        False when it gave way to another one, or has its outcome already.
        """
        with self._changed:
            if self._interims.get(job.party) is job:
                del self._interims[job.party]
                job.final = True
                self._put_final(job)
                return True
            if self._decoding.get(job.party) is job:
                job.final = True
                return True
            return False

    def _put_final(self, job: Job) -> None:
        if self.waiting and self.waiting + job.seconds > self.backlog:
            job.refused = True
            job.samples = job.samples[:0].copy()  # a view would keep the audio
            job.before = None
        self._finals.append(job)
        self.waiting += job.seconds

    def take(self) -> Job | None:
        """Wait for the next job whose party has none in a worker's hands; None once closed."""
        with self._changed:
            while not self._closed:
                job = self._next()
                if job is not None:
                    self._decoding[job.party] = job
                    return job
                self._changed.wait()
            return None

    def _next(self) -> Job | None:
        for place, job in enumerate(self._finals):
            if job.party not in self._decoding:
                del self._finals[place]
                self.waiting = self.waiting - job.seconds if self._finals else 0.0  # no rounding error stays
                return job
        party = next((party for party in self._interims if party not in self._decoding), None)
        return None if party is None else self._interims.pop(party)

    def finished(self, job: Job) -> None:
        """The job that was taken has its outcome: the next one of its party may be taken."""
        with self._changed:
            self._decoding.pop(job.party, None)
            self._changed.notify()

    def give_back(self, job: Job) -> None:
        """Whoever took the job cannot do it: put it in line again, a final one at its head."""
        with self._changed:
            self._decoding.pop(job.party, None)
            if self._closed:
                job.done(DecodeFailed("the engine was closed"))
            elif job.final:
                self._finals.appendleft(job)
                self.waiting += job.seconds
            else:
                self._interims.setdefault(job.party, job)
            self._changed.notify()

    def forget(self, owner: object) -> None:
        """Take all waiting jobs of ``owner`` back; one that is being decoded still reports."""
        with self._changed:
            self._finals = deque(job for job in self._finals if job.owner is not owner)
            self._interims = {party: job for party, job in self._interims.items() if job.owner is not owner}
            self.waiting = sum(job.seconds for job in self._finals)

    def close(self) -> None:
        """Refuse what waits and what comes; whoever waits in `take` gets None."""
        with self._changed:
            self._closed = True
            rest = [*self._finals, *self._interims.values()]
            self._finals.clear()
            self._interims.clear()
            self.waiting = 0.0
            self._changed.notify_all()
        for job in rest:
            job.done(DecodeFailed("the engine was closed"))
