"""The queue of all calls' audio for the decoders: final jobs before interim jobs, each track's in order.

Under load interim texts get rarer, down to none: a track has at most one interim job in the queue, which a newer one
replaces and a final job removes. Then final texts come later. A final job that has waited for ``max_wait`` is refused.
The call that has lost the largest share of its speech goes first, so that all lose the same share; while nothing was
lost, the order is that of arrival. A refused job stays in the queue without its audio, so that its track gets the
outcome in order.

Calls that have ended go first, because their last texts have little time. *Patient* jobs go last and are never refused:
they come from a source that is faster than real time, which waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from flowcore.metrics import Histogram
from flowcore.speech import DECODER_RATE, Decoded, DecodeFailed, Rejected
from nodes.speech.local.context import Context

Outcome = Decoded | DecodeFailed | Rejected


class Overloaded(DecodeFailed):
    """The utterance waited too long and is not decoded."""


@dataclass(eq=False)
class DecodeJob:
    """Audio to decode. Jobs of one ``track`` are done in order; an ``owner`` is a call.

    ``done`` is called once, in a decoder's thread, with its outcome. ``on_death`` is called before that, with the
    cause, each time a decoder died while it had the job and another one tries; ``on_refused``, from any thread, when
    the job has lost its audio.
    """

    owner: object
    track: object
    samples: NDArray[np.int16]
    final: bool
    done: Callable[[Outcome], None]
    on_death: Callable[[str], None] = lambda cause: None
    on_refused: Callable[[], None] = lambda: None
    context: Context | None = None
    """Decoded together with ``samples`` if the job is patient or no other waits; the text of ``samples`` counts."""
    patient: bool = False
    phrases: tuple[str, ...] = ()
    """Words to expect; empty for a decoder that takes none."""
    flow: str = ""
    """Id of the call's flow, for the metric of its wait."""
    deaths: int = 0
    refused: bool = False
    expires: float = inf
    """When a final job is refused, in seconds of the queue's clock."""
    queued: float = 0.0
    """When a final job was put into the queue, in seconds of the queue's clock."""
    hurried: bool = False
    """Its call has ended."""
    discarded: bool = False
    """Nothing waits for its outcome any more."""

    def __post_init__(self) -> None:
        self.seconds = len(self.samples) / DECODER_RATE


@dataclass
class _Outcomes:
    """Decoded and lost audio of a call's final jobs, in seconds."""

    decoded: float = 0.0
    lost: float = 0.0

    @property
    def lost_share(self) -> float:
        return self.lost / max(self.lost + self.decoded, 1.0)


class DecodeQueue:
    """The jobs that wait: a final one for ``max_wait`` seconds at most. ``now`` gives seconds of real time.

    ``waits`` has the waits of final jobs that were taken; ``taken`` is the length of all audio that was, in seconds.
    """

    def __init__(self, max_wait: float, now: Callable[[], float] = monotonic) -> None:
        self.max_wait = max_wait
        self.waits = Histogram()
        self.taken = 0.0
        self._now = now
        self._finals: deque[DecodeJob] = deque()
        self._interims: dict[object, DecodeJob] = {}  # by track; a dict keeps the place of a job that is replaced
        self._decoding: dict[object, DecodeJob] = {}  # by track
        self._outcomes: dict[object, _Outcomes] = {}  # by owner
        self._changed = threading.Condition()
        self._closed = False

    def put(self, job: DecodeJob) -> bool:
        """Add a job; True if it replaced a waiting interim job of its track. Raises `DecodeFailed` once closed."""
        with self._changed:
            if self._closed:
                raise DecodeFailed("the engine is closed")
            if job.final:
                stale = self._interims.pop(job.track, None)
                job.queued = self._now()
                if not job.patient:
                    job.expires = job.queued + self.max_wait
                self._finals.append(job)
                self._refuse_expired()
            else:
                stale = self._interims.get(job.track)
                self._interims[job.track] = job
            self._changed.notify()
            return stale is not None

    @property
    def finals(self) -> int:
        """Number of final jobs that wait."""
        return len(self._finals)

    @property
    def idle(self) -> bool:
        """Whether no job waits or is being decoded."""
        with self._changed:
            return not (self._finals or self._interims or self._decoding)

    @property
    def owners(self) -> int:
        """Number of calls whose final jobs wait."""
        with self._changed:
            return len({id(job.owner) for job in self._finals})

    def hurry(self, owner: object) -> None:
        """Let the final jobs of an owner go first: its call has ended."""
        with self._changed:
            for job in self._finals:
                job.hurried = job.hurried or job.owner is owner

    def _refuse_expired(self) -> None:
        now = self._now()
        for job in self._finals:
            if job.expires <= now and not job.refused:
                job.refused = True
                self._of(job).lost += job.seconds
                job.samples = job.samples[:0].copy()  # a view would keep the audio
                job.context = None
                job.on_refused()

    def take(self) -> DecodeJob | None:
        """Wait for the next job of a track that no decoder works on; None once closed."""
        with self._changed:
            while not self._closed:
                job = self._next()
                if job is not None:
                    self._decoding[job.track] = job
                    self.taken += len(job.samples) / DECODER_RATE  # none once it is refused
                    return job
                self._changed.wait()
            return None

    def _next(self) -> DecodeJob | None:
        self._refuse_expired()
        first: dict[object, DecodeJob] = {}  # by track
        for job in self._finals:
            if job.track not in self._decoding:
                first.setdefault(job.track, job)
        if first:
            job = min(first.values(), key=self._order)
            self._finals.remove(job)
            if not job.refused:
                self._of(job).decoded += job.seconds
            self.waits.observe(self._now() - job.queued, job.flow)
            return job
        track = next((track for track in self._interims if track not in self._decoding), None)
        return None if track is None else self._interims.pop(track)

    def _order(self, job: DecodeJob) -> tuple[bool, bool, float, float]:
        return not (job.refused or job.hurried), job.patient, -self._of(job).lost_share, job.expires

    def _of(self, job: DecodeJob) -> _Outcomes:
        return self._outcomes.setdefault(job.owner, _Outcomes())

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
            elif job.discarded:
                job.done(DecodeFailed("the call has ended"))
            elif job.final:
                self._finals.appendleft(job)
            else:
                self._interims.setdefault(job.track, job)
            self._changed.notify()

    def discard(self, owner: object) -> None:
        """Remove all waiting jobs of ``owner``; a job that is being decoded still reports its outcome."""
        with self._changed:
            self._finals = deque(job for job in self._finals if job.owner is not owner)
            self._interims = {track: job for track, job in self._interims.items() if job.owner is not owner}
            for job in self._decoding.values():
                job.discarded = job.discarded or job.owner is owner
            self._outcomes.pop(owner, None)

    def close(self) -> None:
        """Fail the waiting and all later jobs; `take` returns None."""
        with self._changed:
            self._closed = True
            rest = [*self._finals, *self._interims.values()]
            self._finals.clear()
            self._interims.clear()
            self._changed.notify_all()
        for job in rest:
            job.done(DecodeFailed("the engine was closed"))
