"""One stream as the service sees it: what it hears, what it says when, and what goes wrong. No gRPC in here."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .words import RATE, Ear, Word


@dataclass(frozen=True)
class Heard:
    """A result: the words of one utterance so far, or all of it. ``end`` is how far was listened, in seconds."""

    words: tuple[Word, ...]
    final: bool
    end: float


@dataclass(frozen=True)
class StreamFault:
    """A fault of a stream once it has heard ``after`` seconds of audio.

    ``kind`` is the name of a `grpc.StatusCode`, or ``hang`` (nothing is read or said any more), or ``silent`` (it is
    read, and nothing said).
    """

    kind: str
    after: float = 0.0
    text: str = "as told by the test"


StreamFaults = Callable[[int], "StreamFault | None"]
"""The fault of a stream, by its number from 0."""


KINDS = ("UNAVAILABLE", "ABORTED", "INTERNAL")


def random_faults(share: float, seed: int = 0, within: float = 60.0, kinds: tuple[str, ...] = KINDS) -> StreamFaults:
    """Give a ``share`` of the streams a fault of one of ``kinds``, within their first ``within`` seconds."""

    def fault(number: int) -> StreamFault | None:
        rng = random.Random(f"{seed}/{number}")
        if rng.random() >= share:
            return None
        return StreamFault(rng.choice(kinds), round(rng.uniform(0, within), 2), "one of the random errors")

    return fault


@dataclass(eq=False)
class StreamLog:
    """What came of one stream; read it while it runs or afterwards."""

    number: int
    version: int
    opened: float
    config: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    largest: int = 0
    """Bytes of audio in the largest request."""
    samples: int = 0
    """Of audio that came."""
    words: list[Word] = field(default_factory=list)
    """All that were said in final results."""
    broken: int = 0
    """Words of which only a part came."""
    half_closed: bool = False
    closed: float | None = None
    outcome: str = ""
    """``OK``, the name of a status, or ``CANCELLED`` when the client gave up; empty while it runs."""

    @property
    def seconds(self) -> float:
        """Length of the audio that came."""
        return self.samples / int(self.config.get("rate", RATE))


class Recogniser:
    """Turns words that are heard into results, with the habits of the real one.

    An utterance is final ``pause`` seconds after its last word, or after ``longest`` seconds. Before that, each request
    that brings a word brings an interim result.
    """

    def __init__(self, pause: float = 0.5, longest: float = 15.0) -> None:
        self.ear = Ear()
        self._pause = round(pause * RATE)
        self._longest = round(longest * RATE)
        self._words: list[Word] = []

    def hear(self, sound: bytes) -> Iterator[Heard]:
        """Listen on; yields the results that are due now."""
        news = False
        for word in self.ear.hear(sound):
            if self._words and word.start - self._words[-1].end >= self._pause:
                yield self._final(self._words[-1].end + self._pause)
            elif self._words and word.end - self._words[0].start > self._longest:
                yield self._final(self._words[-1].end)
            self._words.append(word)
            news = True
        if self._words and self.ear.position - max(self._words[-1].end, self.ear.loud) >= self._pause:
            yield self._final(self._words[-1].end + self._pause)
        elif news:
            yield Heard(tuple(self._words), False, self.ear.position / RATE)

    def end(self) -> Iterator[Heard]:
        """The client has half-closed: what was heard is final."""
        if self._words:
            yield self._final(self.ear.position)

    def _final(self, at: int) -> Heard:
        words, self._words = tuple(self._words), []
        return Heard(words, True, at / RATE)
