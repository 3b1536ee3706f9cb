"""Workers: a thread for each decoder, all fed by one `Line`.

A thread only hands audio to its decoder and waits; where the decoding happens (a process, as here, or another machine)
is the decoder's affair. A decoder that dies is opened again, and what it had goes back to the line, unless it seems
to be the audio that kills decoders.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future

from flowcore import CannotStart
from nodes.speech.local.decode_queue import Job, Line, Outcome, Overloaded
from nodes.speech.local.decoder import DecodeFailed, Decoder

RETRY_FIRST = 0.5
"""Seconds before a decoder that could not be opened again is tried once more; doubled up to ``RETRY_LONGEST``."""
RETRY_LONGEST = 30.0
DEATHS = 3
"""Decoders that may die of one utterance, before it is held to be what kills them."""


class DecoderDied(DecodeFailed):
    """The decoder can do nothing more until it is opened again."""


class Worker:
    """Has jobs decoded by ``decoders``, which it opens; ``backlog`` bounds the seconds of audio that may wait.

    Raises `CannotStart` when one of them cannot be opened. A decoder is opened, used and closed in one thread.
    """

    def __init__(self, decoders: Sequence[Decoder], backlog: float) -> None:
        self._line = Line(backlog)
        self._closed = threading.Event()
        self._decoders = decoders
        opened: list[Future[None]] = [Future() for _ in decoders]
        self._threads = [
            threading.Thread(target=self._run, args=each, name="decode", daemon=True)
            for each in zip(decoders, opened, strict=True)
        ]
        for thread in self._threads:
            thread.start()
        errors = [error for each in opened if (error := each.exception()) is not None]
        if errors:
            self.close(RETRY_LONGEST)
            raise CannotStart(str(errors[0]), field="engine") if isinstance(errors[0], DecoderDied) else errors[0]

    def submit(self, job: Job) -> bool:
        """Put a job in line; True when an interim of the same party was still waiting and gave way.

        Raises `DecodeFailed` once closed.
        """
        return self._line.put(job)

    def make_final(self, job: Job) -> bool:
        """Have the text of an interim job be the final one; False when it is no longer in line."""
        return self._line.make_final(job)

    def forget(self, owner: object) -> None:
        """Take all waiting jobs of ``owner`` back; one that is being decoded still reports."""
        self._line.forget(owner)

    def close(self, timeout: float) -> bool:
        """Refuse what waits, cut off what is being decoded, where that is possible, and end the threads.

        False when a decoder still works after ``timeout`` seconds; it is freed when it returns.
        """
        self._closed.set()
        self._line.close()
        for decoder in self._decoders:
            if isinstance(decoder, Stoppable):
                decoder.stop()
        for thread in self._threads:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, decoder: Decoder, opened: Future[None]) -> None:
        try:
            decoder.open()
        except Exception as error:  # whatever it is, the one who wanted the decoder is told
            decoder.close()
            opened.set_exception(error)
            return
        opened.set_result(None)
        while (job := self._line.take()) is not None:
            try:
                outcome = self._decode(decoder, job)
            except DecoderDied as error:
                self._mourn(job, error)
                self._open_again(decoder)
                continue
            job.done(outcome)
            self._line.finished(job)
        decoder.close()

    def _decode(self, decoder: Decoder, job: Job) -> Outcome:
        if job.refused:
            return Overloaded("too much audio waits for its text")
        try:
            if job.before is not None and not self._line.waiting:
                text = job.before.rest(decoder.decode(job.before.with_(job.samples)))
                if text:
                    return text
            return decoder.decode(job.samples)
        except DecoderDied:
            raise
        except DecodeFailed as error:
            return error
        except Exception as error:  # whatever it is, it is this job's, and other calls need the thread
            failed = DecodeFailed(f"{type(error).__name__}: {error}")
            failed.__cause__ = error
            return failed

    def _mourn(self, job: Job, error: DecoderDied) -> None:
        """A decoder has died of ``job``, or while it had it."""
        job.deaths += 1
        if not self._closed.is_set():
            job.trouble(str(error))
        if job.deaths < DEATHS:
            self._line.give_back(job)
        else:
            job.done(DecodeFailed(f"{job.deaths} decoders in a row: {error}"))
            self._line.finished(job)

    def _open_again(self, decoder: Decoder) -> None:
        """Until it is open, or the worker is closed. Meanwhile others take the jobs, or the line refuses them."""
        delay = RETRY_FIRST
        decoder.close()
        while not self._closed.is_set():
            try:
                decoder.open()
            except (CannotStart, DecoderDied, OSError):
                decoder.close()
                self._closed.wait(delay)
                delay = min(2 * delay, RETRY_LONGEST)
            else:
                return


class Stoppable(ABC):
    """A decoder whose running ``decode`` can be cut off."""

    @abstractmethod
    def stop(self) -> None:
        """Make it raise `DecoderDied` at once, also in another thread, and refuse to be opened again."""
