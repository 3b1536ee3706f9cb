"""A pool of decoders with a thread each, fed by one `DecodeQueue`.

A thread passes audio to its decoder and waits; the decoding happens in another process. A decoder that died is opened
again, and its job goes back to the queue, unless several decoders in a row died of that job.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from flowcore import CannotStart
from flowcore.speech import Decoded, DecodeFailed, Decoder, Rejected
from nodes.speech.local.decode_queue import DecodeJob, DecodeQueue, Outcome, Overloaded
from nodes.speech.usage import Usage

MIN_RETRY_DELAY = 0.5  # seconds before the second attempt to open a decoder again; doubled up to ``MAX_RETRY_DELAY``
MAX_RETRY_DELAY = 30.0
FULL = 0.9  # share of time in which the decoders work when they are full: beyond it utterances wait for long
MAX_DEATHS = 3  # decoders that may die of one utterance before the utterance is blamed and given up


Samples = NDArray[np.int16]


class DecoderDied(DecodeFailed):
    """The decoder must be opened again."""


class DecoderPool:
    """Opens ``decoders`` and decodes the jobs of ``queue`` with them; none waits longer than ``max_wait`` seconds.

    Each decoder is opened, used and closed in one thread.

    Raises:
        CannotStart: A decoder cannot be opened.
    """

    def __init__(self, decoders: Sequence[Decoder], max_wait: float) -> None:
        self.queue = DecodeQueue(max_wait)
        self._needed = Usage()
        self._closed = threading.Event()
        self._decoders = decoders
        opened: list[Future[None]] = [Future() for _ in decoders]
        work = zip(decoders, opened, strict=True)
        self._threads = [threading.Thread(target=self._run, args=each, name="decode", daemon=True) for each in work]
        for thread in self._threads:
            thread.start()
        errors = [error for each in opened if (error := each.exception()) is not None]
        if errors:
            self.close(MAX_RETRY_DELAY)
            raise CannotStart(str(errors[0]), field="engine") if isinstance(errors[0], DecoderDied) else errors[0]

    def close(self, timeout: float) -> bool:
        """Fail the waiting jobs, stop the decoders that can be stopped, and end the threads.

        False if a decoder still works after ``timeout`` seconds; it is closed when it returns.
        """
        self._closed.set()
        self.queue.close()
        for decoder in self._decoders:
            if isinstance(decoder, Stoppable):
                decoder.stop()
        deadline = monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, decoder: Decoder, opened: Future[None]) -> None:
        try:
            decoder.open()
        except Exception as error:  # any error: the constructor raises it
            decoder.close()
            opened.set_exception(error)
            return
        opened.set_result(None)
        while (job := self.queue.take()) is not None:
            try:
                outcome = self._decode(decoder, job)
            except DecoderDied as error:
                self._on_death(job, error)
                self._open_again(decoder)
                continue
            job.done(outcome)
            self.queue.finished(job)
        decoder.close()

    def _decode(self, decoder: Decoder, job: DecodeJob) -> Outcome:
        if job.refused:
            return Overloaded("it waited too long")
        try:
            phrases = (job.phrases,) if job.phrases else ()
            if not job.final:
                return decoder.decode_interim(job.samples, *phrases)
            before = job.context
            if before is not None and (job.patient or not self.queue.finals):
                both = self._decode_samples(decoder, job, np.concatenate((before.samples, job.samples)), *phrases)
                if new := before.words_after(both):
                    return new
            return self._decode_samples(decoder, job, job.samples, *phrases)
        except DecoderDied:
            raise
        except (DecodeFailed, Rejected) as error:
            return error
        except Exception as error:  # any error fails this job only: other calls need the thread
            failed = DecodeFailed(f"{type(error).__name__}: {error}")
            failed.__cause__ = error
            return failed

    def _decode_samples(self, decoder: Decoder, job: DecodeJob, samples: Samples, *phrases: Sequence[str]) -> Decoded:
        began = monotonic()
        try:
            return decoder.decode(samples, *phrases)
        finally:
            if job.final and not job.patient:  # interim texts and contexts take only time that is left
                self._needed.add((monotonic() - began) * len(job.samples) / max(1, len(samples)))

    @property
    def load(self) -> float:
        """Seconds so far for which final texts of live calls took all that the decoders can give."""
        return self._needed.seconds / len(self._decoders) / FULL

    def _on_death(self, job: DecodeJob, error: DecoderDied) -> None:
        """Give back or fail the job of a decoder that died."""
        job.deaths += 1
        if not self._closed.is_set():
            job.on_death(str(error))
        if job.deaths < MAX_DEATHS:
            self.queue.give_back(job)
        else:
            job.done(DecodeFailed(f"{job.deaths} decoders in a row: {error}"))
            self.queue.finished(job)

    def _open_again(self, decoder: Decoder) -> None:
        """Try until the decoder is open or the pool is closed. Meanwhile the other decoders take the jobs."""
        delay = MIN_RETRY_DELAY
        decoder.close()
        while not self._closed.is_set():
            try:
                decoder.open()
            except (CannotStart, DecoderDied, OSError):
                decoder.close()
                self._closed.wait(delay)
                delay = min(2 * delay, MAX_RETRY_DELAY)
            else:
                return


class Stoppable(ABC):
    """A decoder whose running ``decode`` can be stopped."""

    @abstractmethod
    def stop(self) -> None:
        """Make a running ``decode`` raise `DecoderDied` at once, from any thread, and every later ``open`` too."""
