"""Drives a `Decoder` for one node: each party's audio is cut into utterances, and what all calls share decodes them.

A text is asked for as often as the graph says, and once more in every pause that could end the utterance: if it does,
its final text is there already. Finals are never left out. Where none can be had, the transcript says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from flowcore import Audio, Emit, Report, Text
from nodes.speech.decoder import RATE, DecodeFailed
from nodes.speech.line import Job, Outcome, Overloaded
from nodes.speech.party import Party
from nodes.speech.recognizer import Recognizer
from nodes.speech.segmenter import Limits, Segment, Segmenter

HOLD = 1.5
"""Seconds without audio after which an utterance is over: a party on hold sends none."""
AHEAD = 0.25
"""The part of the whole backlog that one node fills before it waits, so that a file is read no faster than decoded."""
UNTRANSCRIBED = "untranscribed"
LEAST_SPEECH = 0.1  # seconds: less than that, and the model makes words up
UNSURE = 0.5  # mean probability of voice below which a lone "You" is what the model makes of noise
NO_WORDS = re.compile(r"[\W_]*")  # such as ♪♪♪, for music
NOISE = re.compile(r"\W*you\W*", re.IGNORECASE)


class Host(Protocol):
    """What is used of the node."""

    report: Report

    def wake(self) -> None: ...
    def alarm(self, when: float, /) -> None: ...
    def now(self) -> float: ...


@dataclass(eq=False)
class _Talk:
    """One party: its segmenter, its transcript, and what was asked of the open utterance."""

    party: Party
    segmenter: Segmenter
    came: float = 0.0  # when its last audio came
    asked: int = 0  # position up to which its text was asked for
    known: tuple[int, int] = (0, 0)  # start and end of the audio
    text: str = ""  # whose text this is


class Utterances:
    """The parties of one node of one call. ``interim``: seconds of speech between two interim texts; 0 for none.

    `push` may block, when this call alone fills a good part of the backlog; its texts come out of `collect`.
    """

    def __init__(
        self,
        host: Host,
        recognizer: Recognizer,
        limits: Limits,
        interim: float,
        parties: dict[str, Party] | None = None,
    ) -> None:
        self._host = host
        self._parties = {} if parties is None else parties
        self._recognizer = recognizer
        self._limits = limits
        self._interim = interim
        self._ahead = AHEAD * recognizer.backlog
        self._talks: dict[str, _Talk] = {}
        self._results: SimpleQueue[tuple[_Talk, Segment, bool, Outcome]] = SimpleQueue()  # from the workers
        self._waiting = 0  # final texts still to come
        self._backlog = 0.0  # seconds of audio in them

    def push(self, chunk: Audio) -> None:
        """Listen to a chunk."""
        talk = self._talks.get(chunk.track) or self._meet(chunk.track)
        talk.party.arrived(chunk)
        self._settle()
        for segment in talk.segmenter.push(chunk):
            self._finish(talk, segment)
        self._ask_early(talk)
        while self._backlog > self._ahead:
            self._take(*self._results.get())
        talk.came = self._host.now()
        if talk.segmenter.speaking:
            self._host.alarm(talk.came + HOLD)

    def flush(self) -> None:
        """No more audio: the utterances end where they are."""
        for talk in self._talks.values():
            if (segment := talk.segmenter.end()) is not None:
                self._finish(talk, segment)

    def busy(self) -> bool:
        """Whether final texts are still to come."""
        return self._waiting > 0

    def collect(self, emit: Emit[Text]) -> None:
        """Emit what came in since, and end the utterances of who is on hold."""
        self._settle()
        now = self._host.now()
        for talk in self._speaking():
            if now >= talk.came + HOLD and (segment := talk.segmenter.end()) is not None:
                self._finish(talk, segment)
        if first := min((talk.came for talk in self._speaking()), default=0.0):
            self._host.alarm(first + HOLD)
        for talk in self._talks.values():
            for text in talk.party.take():
                emit(text)

    def close(self) -> None:
        """Nobody wants what still waits."""
        self._recognizer.worker.forget(self)

    def _meet(self, track: str) -> _Talk:
        segmenter = Segmenter(self._recognizer.voice.party(), self._limits)
        party = self._parties.setdefault(track, Party(track, self._host.now))
        return self._talks.setdefault(track, _Talk(party, segmenter))

    def _speaking(self) -> Iterator[_Talk]:
        return (talk for talk in self._talks.values() if talk.segmenter.speaking)

    def _ask_early(self, talk: _Talk) -> None:
        segmenter = talk.segmenter
        if segmenter.speaking:
            unasked = segmenter.reaches - max(talk.asked, segmenter.start)
            if (segmenter.pausing and unasked > 0) or (self._interim and unasked >= self._interim * RATE):
                self._ask(talk, segmenter.so_far(), final=False)

    def _finish(self, talk: _Talk, segment: Segment) -> None:
        if talk.known == (segment.start, segment.end):
            self._final(talk, segment, talk.text)
        else:
            self._waiting += 1
            self._backlog += segment.seconds
            self._ask(talk, segment, final=True)

    def _ask(self, talk: _Talk, segment: Segment, *, final: bool) -> None:
        def done(outcome: Outcome) -> None:  # in a worker's thread
            self._results.put((talk, segment, final, outcome))
            self._host.wake()

        def trouble(cause: str) -> None:
            self._host.report.event("decoder_replaced", cause=cause)

        talk.asked = segment.end
        if self._recognizer.worker.submit(Job(self, talk, segment.samples, final, done, trouble)):
            self._host.report.dropped("stale_interim")

    def _settle(self) -> None:
        while not self._results.empty():
            self._take(*self._results.get())

    def _take(self, talk: _Talk, segment: Segment, final: bool, outcome: Outcome) -> None:
        if final:
            self._waiting -= 1
            self._backlog -= segment.seconds
        if isinstance(outcome, str):
            if final:
                self._final(talk, segment, outcome)
            else:
                talk.known, talk.text = (segment.start, segment.end), outcome
                if self._interim:
                    talk.party.interim(*segment.spoken, _believed(segment, outcome))
        elif final:
            self._lost(talk, segment, outcome)

    def _final(self, talk: _Talk, segment: Segment, text: str) -> None:
        talk.party.final(*segment.spoken, _believed(segment, text))

    def _lost(self, talk: _Talk, segment: Segment, error: DecodeFailed) -> None:
        overloaded = isinstance(error, Overloaded)
        self._host.report.dropped("overloaded" if overloaded else "decode_failed", segment.seconds)
        if not overloaded:
            self._host.report.event("decode_failed", cause=error)
        talk.party.gap(*segment.spoken, UNTRANSCRIBED)


def _believed(segment: Segment, text: str) -> str:
    """The text, or nothing where the model made it up."""
    made_up = segment.voice_seconds < LEAST_SPEECH or NO_WORDS.fullmatch(text)
    if made_up or (segment.voice_mean < UNSURE and NOISE.fullmatch(text)):
        return ""
    return text
