"""The queue of all calls' audio for the decoders: final jobs before interim jobs, each track's in order.

A track has at most one interim job in the queue: a newer one replaces it, and a final job removes it. So under load
interim texts get rarer, down to none. When the backlog is full, a new final job is refused: it stays in the queue
without its audio, so that its track gets the outcome in order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowcore.speech import DECODER_RATE, DecodeFailed
from nodes.speech.local.context import Context

Outcome = str | DecodeFailed


class Overloaded(DecodeFailed):
    """The backlog is full: this utterance is not decoded."""


@dataclass(eq=False)
class DecodeJob:
    """Audio to decode. Jobs of one ``track`` are done in order; `DecodeQueue.discard` removes all jobs of an ``owner``.

    ``done`` is called once, in a decoder's thread, with the text or the error. ``on_death`` is called before that, with
    the cause, each time a decoder died while it had the job and another one tries.
    """

    owner: object
    track: object
    samples: NDArray[np.int16]
    final: bool
    done: Callable[[Outcome], None]
    on_death: Callable[[str], None] = lambda cause: None
    context: Context | None = None
    """Decoded together with ``samples`` if no other audio waits; only the text of ``samples`` counts."""
    deaths: int = 0
    refused: bool = False

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return len(self.samples) / DECODER_RATE


class DecodeQueue:
    """The jobs that wait. ``backlog`` is how many seconds of audio may wait for final texts, of all calls together."""

    def __init__(self, backlog: float) -> None:
        self.backlog = backlog
        self.waiting_seconds = 0.0  # of audio that waits for final texts
        self._finals: deque[DecodeJob] = deque()
        self._interims: dict[object, DecodeJob] = {}  # by track; a dict keeps the place of a job that is replaced
        self._decoding: dict[object, DecodeJob] = {}  # by track
        self._changed = threading.Condition()
        self._closed = False

    def put(self, job: DecodeJob) -> bool:
        """Add a job; True if it replaced a waiting interim job of its track. Raises `DecodeFailed` once closed."""
        with self._changed:
            if self._closed:
                raise DecodeFailed("the engine is closed")
            if job.final:
                stale = self._interims.pop(job.track, None)
                self._put_final(job)
            else:
                stale = self._interims.get(job.track)
                self._interims[job.track] = job
            self._changed.notify()
            return stale is not None

    def make_final(self, job: DecodeJob) -> bool:
        """Turn an interim job into a final one; False if it was replaced or has its outcome already."""
        with self._changed:
            if self._interims.get(job.track) is job:
                del self._interims[job.track]
                job.final = True
                self._put_final(job)
                return True
            if self._decoding.get(job.track) is job:
                job.final = True
                return True
            return False

    def _put_final(self, job: DecodeJob) -> None:
        if self.waiting_seconds and self.waiting_seconds + job.seconds > self.backlog:
            job.refused = True
            job.samples = job.samples[:0].copy()  # a view would keep the audio
            job.context = None
        self._finals.append(job)
        self.waiting_seconds += job.seconds

    def take(self) -> DecodeJob | None:
        """Wait for the next job of a track that no decoder works on; None once closed."""
        with self._changed:
            while not self._closed:
                job = self._next()
                if job is not None:
                    self._decoding[job.track] = job
                    return job
                self._changed.wait()
            return None

    def _next(self) -> DecodeJob | None:
        for index, job in enumerate(self._finals):
            if job.track not in self._decoding:
                del self._finals[index]
                left = self.waiting_seconds - job.seconds
                self.waiting_seconds = left if self._finals else 0.0  # drops the rounding error
                return job
        track = next((track for track in self._interims if track not in self._decoding), None)
        return None if track is None else self._interims.pop(track)

    def finished(self, job: DecodeJob) -> None:
        """The job has its outcome: the next one of its track may be taken."""
        with self._changed:
            self._decoding.pop(job.track, None)
            self._changed.notify()

    def give_back(self, job: DecodeJob) -> None:
        """Return a job that was taken but not done; a final one goes to the head of the queue."""
        with self._changed:
            self._decoding.pop(job.track, None)
            if self._closed:
                job.done(DecodeFailed("the engine was closed"))
            elif job.final:
                self._finals.appendleft(job)
                self.waiting_seconds += job.seconds
            else:
                self._interims.setdefault(job.track, job)
            self._changed.notify()

    def discard(self, owner: object) -> None:
        """Remove all waiting jobs of ``owner``; a job that is being decoded still reports its outcome."""
        with self._changed:
            self._finals = deque(job for job in self._finals if job.owner is not owner)
            self._interims = {track: job for track, job in self._interims.items() if job.owner is not owner}
            self.waiting_seconds = sum(job.seconds for job in self._finals)

    def close(self) -> None:
        """Fail the waiting and all later jobs; `take` returns None."""
        with self._changed:
            self._closed = True
            rest = [*self._finals, *self._interims.values()]
            self._finals.clear()
            self._interims.clear()
            self.waiting_seconds = 0.0
            self._changed.notify_all()
        for job in rest:
            job.done(DecodeFailed("the engine was closed"))
