"""Turn speech into text: audio goes in, and what each party said comes out, while it is said and when it is final."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Annotated, ClassVar, Literal

from pydantic import Field

import flowcore
from flowcore import Audio, Config, Duration, Emit, Extra, Format, Takes, Text, Transform, node
from nodes.speech.recognizer import DECODERS, Recognizer
from nodes.speech.segmenter import Limits, Segment, Segmenter
from nodes.speech.voice import RATE, VoiceModel
from nodes.speech.worker import Job

LEAST_SPEECH = 0.1  # seconds: less than that, and the model makes words up
UNSURE = 0.5  # mean probability of voice below which a lone "You" is what the model makes of noise
NO_WORDS = re.compile(r"[\W_]*")  # such as ♪♪♪, for music
NOISE = re.compile(r"\W*you\W*", re.IGNORECASE)


@dataclass(eq=False)
class _Party:
    """What the node knows of one party."""

    track: str
    segmenter: Segmenter
    utterance: int = 0
    shown: str = ""  # the interim text that the final one will replace
    asked: float = 0.0  # length in seconds of the open segment when its text was last asked for


@node("transcribe")
class Transcribe(Transform[Audio, Text]):
    """Write down what is said, each party for itself.

    Utterances are cut at pauses and decoded one by one, in a thread that all calls share: final texts before interim.

    In: ``Audio``, s16, 16 kHz, one party or several by turns. Out: ``Text`` with the times of the voice: interim ones
    while an utterance is spoken, then a final one, which is empty when there were no words after all.

    Example::

        agent: {use: transcribe, from: speech, with: {engine: moonshine, interim: 1s}}
    """

    class Config(flowcore.Config):
        """Which engine, and where utterances begin and end."""

        engine: Literal["moonshine"] = "moonshine"
        """What turns speech into text: ``moonshine`` runs here, in English, without an account."""

        interim: Duration = Duration("1s")
        """How often the text of an utterance is updated while it is spoken; ``0s`` gives final texts only."""

        threshold: Annotated[float, Field(gt=0, lt=1)] = 0.3
        """Probability of voice, as a mean over ``pause``, above which somebody is held to speak."""

        pause: Annotated[Duration, Field(ge=0.1, le=3)] = Duration("500ms")
        """How much audio is looked at to tell speech from a pause."""

        long_pause: Annotated[Duration, Field(ge=0.1, le=5)] = Duration("1600ms")
        """The same for utterances with less than ``enough`` speech: few words at a time are understood worse."""

        enough: Duration = Duration("5s")
        """How much speech makes an utterance that any pause may end; ``0s`` for the quickest final texts."""

        pre_roll: Annotated[Duration, Field(le=3)] = Duration("500ms")
        """How much audio before the voice was noticed belongs to an utterance."""

        max_segment: Annotated[Duration, Field(ge=2, le=30)] = Duration("12s")
        """Length at which an utterance is cut, at its last quiet place, although the voice goes on."""

        backlog: Duration = Duration("1min")
        """How much audio may wait for its final text before this node takes no more, so that its queue fills."""

    takes: ClassVar = (Takes("audio", ("s16",), (RATE,), ("mono", "tracks")),)
    runs: ClassVar = "thread"  # the voice detector costs 75 µs for each 32 ms
    loss: ClassVar = "allowed"
    config: Config
    part: Recognizer

    def __init__(self, config: Config) -> None:
        self.config = config
        self._parties: dict[str, _Party] = {}
        self._results: SimpleQueue[tuple[_Party, Segment, bool, str | Exception]] = SimpleQueue()  # from the worker
        self._waiting = 0  # final texts still to come
        self._backlog = 0.0  # seconds of audio in them

    @classmethod
    def requires(cls, config: Config) -> Sequence[Extra]:
        return (*DECODERS[config.engine].REQUIRES, *VoiceModel.REQUIRES)

    @classmethod
    def shares(cls, config: Config) -> Recognizer:
        return Recognizer(config.engine)

    @classmethod
    def gives(cls, config: Config, given: Format) -> Format:
        return Format("text")

    @classmethod
    def latency(cls, config: Config, given: Format) -> float:
        return config.max_segment

    def process(self, chunk: Audio, emit: Emit[Text]) -> None:
        party = self._parties.get(chunk.track) or self._meet(chunk.track)
        for segment in party.segmenter.push(chunk):
            self._finish(party, segment)
        length = party.segmenter.open_seconds
        if self.config.interim and length - party.asked >= self.config.interim:
            party.asked = length
            self._ask(party, party.segmenter.so_far(), final=False)
        while self._backlog > self.config.backlog:
            self._take(*self._results.get(), emit)

    def flush(self, emit: Emit[Text]) -> None:
        for party in self._parties.values():
            if (segment := party.segmenter.end()) is not None:
                self._finish(party, segment)

    def busy(self) -> bool:
        return self._waiting > 0

    def collect(self, emit: Emit[Text]) -> None:
        while not self._results.empty():
            self._take(*self._results.get(), emit)

    def close(self) -> None:
        if self.part is not None:
            self.part.worker.forget(self)

    def _meet(self, track: str) -> _Party:
        c = self.config
        limits = Limits(c.threshold, c.pause, c.long_pause, c.enough, c.pre_roll, c.max_segment)
        return self._parties.setdefault(track, _Party(track, Segmenter(self.part.voice.party(), limits)))

    def _finish(self, party: _Party, segment: Segment) -> None:
        party.asked = 0.0
        self._waiting += 1
        self._backlog += segment.seconds
        self._ask(party, segment, final=True)

    def _ask(self, party: _Party, segment: Segment, *, final: bool) -> None:
        def done(outcome: str | Exception) -> None:  # in the worker's thread
            self._results.put((party, segment, final, outcome))
            self.wake()

        if self.part.worker.submit(Job(self, party, segment.samples, final, done)):
            self.report.dropped("stale_interim")

    def _take(self, party: _Party, segment: Segment, final: bool, text: str | Exception, emit: Emit[Text]) -> None:
        if final:
            self._waiting -= 1
            self._backlog -= segment.seconds
        if isinstance(text, Exception):
            raise text
        made_up = segment.voice_seconds < LEAST_SPEECH or NO_WORDS.fullmatch(text)
        if made_up or (segment.voice_mean < UNSURE and NOISE.fullmatch(text)):
            text = ""
        # Results of one party come in order, so the first final one belongs to the interim ones before it.
        if (text or party.shown) if final else (text and text != party.shown):
            start, end = segment.spoken
            emit(Text(party.track, start, end, text, final, party.utterance))
            party.utterance += final
            party.shown = "" if final else text
