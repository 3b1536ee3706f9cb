"""Drives a `Decoder` for one node: each party's audio is cut into utterances, and what all calls share decodes them.

A text is asked for as often as the graph says, and once more in every pause that could end the utterance: if it does,
its final text is there already. Finals are never left out. Where none can be had, the transcript says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from queue import SimpleQueue
from weakref import ref

from flowcore import Audio, Emit, Text
from nodes.speech.driver import UNTRANSCRIBED, Host
from nodes.speech.local.context import Context
from nodes.speech.local.decode_queue import Job, Outcome, Overloaded
from nodes.speech.local.decoder import RATE
from nodes.speech.local.recognizer import Recognizer
from nodes.speech.local.segmenter import Limits, Segment, Segmenter
from nodes.speech.party import Party

HOLD = 1.5
"""Seconds without audio after which an utterance is over: a party on hold sends none."""
LATE = 0.2
"""Seconds of delay of our own after which that is not believed at once: the audio may be waiting to be heard."""
AHEAD = 0.25
"""The part of the whole backlog that one node fills before it waits, so that a file is read no faster than decoded."""
LEAST_SPEECH = 0.1  # seconds: less than that, and the model makes words up
UNSURE = 0.5  # mean probability of voice below which a lone "You" is what the model makes of noise
NO_WORDS = re.compile(r"[\W_]*")  # such as ♪♪♪, for music
NOISE = re.compile(r"\W*you\W*", re.IGNORECASE)


@dataclass(eq=False)
class _PartyState:
    """One party: its segmenter, its transcript, and what was asked of the open utterance."""

    party: Party
    segmenter: Segmenter
    came: float = 0.0  # when its last audio came
    asked: int = 0  # position up to which its text was asked for
    known: tuple[int, int] = (0, 0)  # start and end of the audio
    text: str = ""  # whose text this is
    early: _Ask | None = None  # the last interim one that was asked for
    before: Context | None = None  # what was said last


@dataclass(eq=False)
class _Ask:
    """A text that was asked for."""

    talk: _PartyState
    segment: Segment
    final: bool
    known_as: ref[Job] | None = None  # only the line keeps it, as it keeps this: the knot would hold all audio for long

    @property
    def job(self) -> Job | None:
        """None once it has its outcome, or gave way."""
        return self.known_as() if self.known_as is not None else None


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
        self._talks: dict[str, _PartyState] = {}
        self._results: SimpleQueue[tuple[_Ask, Outcome]] = SimpleQueue()  # from the workers
        self._owed: dict[_Ask, None] = {}  # final texts still to come, in order
        self._close_by = inf

    def push(self, chunk: Audio) -> None:
        """Listen to a chunk."""
        talk = self._talks.get(chunk.track) or self._meet(chunk.track)
        talk.party.arrived(chunk)
        talk.came = self._host.now()
        self._settle()
        for segment in talk.segmenter.push(chunk):
            self._finish(talk, segment)
        self._ask_early(talk)
        self._wait()

    def flush(self, by: float) -> None:
        """No more audio: the utterances end where they are."""
        self._close_by = by
        for talk in self._talks.values():
            self._end(talk)

    def busy(self) -> bool:
        """Whether final texts are still to come."""
        return bool(self._owed)

    def collect(self, emit: Emit[Text]) -> None:
        """Emit what came in since, and end the utterances of who is on hold."""
        self._settle()
        now = self._host.now()
        for talk in self._speaking():
            late = now - talk.came - HOLD
            if late > LATE:
                talk.came = now - HOLD + LATE
            elif late >= 0:
                self._end(talk)
        if now >= self._close_by:
            self._give_up()
        due = min((talk.came + HOLD for talk in self._speaking()), default=inf)
        self._host.alarm(min(due, self._close_by) if self._owed else due)
        for talk in self._talks.values():
            for text in talk.party.take():
                emit(text)

    def close(self) -> None:
        """Nobody wants what still waits."""
        self._recognizer.worker.forget(self)
        self._talks.clear()  # the node and this refer to each other: only the garbage collector would free their audio

    def _meet(self, track: str) -> _PartyState:
        segmenter = Segmenter(self._recognizer.voice.party(), self._limits)
        party = self._parties.setdefault(track, Party(track, self._host.now))
        return self._talks.setdefault(track, _PartyState(party, segmenter))

    def _speaking(self) -> Iterator[_PartyState]:
        return (talk for talk in self._talks.values() if talk.segmenter.speaking)

    def _wait(self) -> None:
        """Read no further while so much of this call waits."""
        if self._backlog > self._ahead:
            while self._backlog > self._ahead:
                self._take(*self._results.get())
            for talk in self._talks.values():  # nobody was listened to meanwhile
                talk.came = self._host.now()

    @property
    def _backlog(self) -> float:
        """Seconds of audio whose final texts are still to come."""
        return sum(ask.segment.seconds for ask in self._owed)

    def _ask_early(self, talk: _PartyState) -> None:
        segmenter = talk.segmenter
        if segmenter.speaking:
            unasked = segmenter.reaches - max(talk.asked, segmenter.start)
            if (segmenter.pausing and unasked > 0) or (self._interim and unasked >= self._interim * RATE):
                self._ask(talk, segmenter.so_far(), final=False)

    def _end(self, talk: _PartyState) -> None:
        if (segment := talk.segmenter.end()) is not None:
            self._finish(talk, segment)

    def _finish(self, talk: _PartyState, segment: Segment) -> None:
        early, talk.early = talk.early, None
        if talk.known == (segment.start, segment.end):
            self._final(talk, segment, talk.text)
        elif early is not None and self._make_final(early, segment):
            self._owe(early)
        else:
            self._ask(talk, segment, final=True)

    def _make_final(self, early: _Ask, segment: Segment) -> bool:
        same = (early.segment.start, early.segment.end) == (segment.start, segment.end)
        job = early.job
        return same and job is not None and self._recognizer.worker.make_final(job)

    def _ask(self, talk: _PartyState, segment: Segment, *, final: bool) -> None:
        ask = _Ask(talk, segment, final)

        def done(outcome: Outcome) -> None:  # in a worker's thread
            self._results.put((ask, outcome))
            self._host.wake()

        def trouble(cause: str) -> None:
            self._host.report.event("decoder_replaced", cause=cause)

        talk.asked = segment.end
        job = Job(self, talk, segment.samples, final, done, trouble, self._context(talk, segment))
        ask.known_as = ref(job)
        if self._recognizer.worker.submit(job) and self._interim:
            self._host.report.dropped("stale_interim")
        if final:
            self._owe(ask)
        else:
            talk.early = ask

    def _owe(self, ask: _Ask) -> None:
        ask.final = True
        self._owed[ask] = None
        job = ask.job
        if job is not None and job.refused:
            ask.segment = ask.segment.without_audio()

    def _settle(self) -> None:
        while not self._results.empty():
            self._take(*self._results.get())

    def _take(self, ask: _Ask, outcome: Outcome) -> None:
        talk, segment = ask.talk, ask.segment
        if ask.final:
            if ask not in self._owed:  # it was given up
                return
            del self._owed[ask]
            if isinstance(outcome, str):
                self._final(talk, segment, outcome)
            elif isinstance(outcome, Overloaded):
                self._lost(ask, "overloaded")
            else:
                self._host.report.event("decode_failed", cause=outcome)
                self._lost(ask, "decode_failed")
        elif isinstance(outcome, str) and segment.start >= talk.segmenter.start:  # else a final one was asked for since
            talk.known, talk.text = (segment.start, segment.end), outcome
            if self._interim:
                talk.party.interim(*segment.spoken, _believed(segment, outcome))

    def _final(self, talk: _PartyState, segment: Segment, text: str) -> None:
        text = _believed(segment, text)
        talk.party.final(*segment.spoken, text)
        before = talk.before if talk.before and talk.before.leads_to(segment) else None
        talk.before = Context.after(before, segment, text)

    def _context(self, talk: _PartyState, segment: Segment) -> Context | None:
        """What a segment with little speech in it is to be heard together with."""
        short = segment.voice_seconds <= self._limits.enough
        return talk.before if short and talk.before and talk.before.leads_to(segment) else None

    def _lost(self, ask: _Ask, reason: str) -> None:
        self._host.report.dropped(reason, ask.segment.seconds)
        ask.talk.party.gap(*ask.segment.spoken, UNTRANSCRIBED)

    def _give_up(self) -> None:
        """The time for what is owed is over."""
        self._recognizer.worker.forget(self)
        for ask in self._owed:
            self._lost(ask, UNTRANSCRIBED)
        self._owed.clear()


def _believed(segment: Segment, text: str) -> str:
    """The text, or nothing where the model made it up."""
    made_up = segment.voice_seconds < LEAST_SPEECH or NO_WORDS.fullmatch(text)
    if made_up or (segment.voice_mean < UNSURE and NOISE.fullmatch(text)):
        return ""
    return text
