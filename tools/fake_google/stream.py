"""One stream of the service: its words, results and faults, without gRPC."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .words import RATE, Word, WordReader


@dataclass(frozen=True)
class Result:
    """A result: the words of an utterance so far, or all of them. ``end`` is the end of the audio, in seconds."""

    words: tuple[Word, ...]
    final: bool
    end: float


@dataclass(frozen=True)
class StreamFault:
    """A fault of a stream once it has result ``after`` seconds of audio.

    ``kind`` is the name of a `grpc.StatusCode`, or ``hang`` (the service neither reads nor answers), or ``silent``
    (it reads, and does not answer).
    """

    kind: str
    after: float = 0.0
    text: str = "injected by the test"


StreamFaults = Callable[[int], "StreamFault | None"]
"""Fault of a stream, by its number from 0."""


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
    """Log of one stream; may be read while the stream runs."""

    number: int
    version: int
    opened: float
    config: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    largest: int = 0
    """Bytes of audio in the largest request."""
    samples: int = 0
    """Samples of audio that arrived."""
    words: list[Word] = field(default_factory=list)
    """Words of all final results."""
    broken: int = 0
    """Words of which only a part arrived."""
    half_closed: bool = False
    closed: float | None = None
    outcome: str = ""
    """``OK``, the name of a status, or ``CANCELLED`` by the client; empty while the stream runs."""

    @property
    def seconds(self) -> float:
        """Return the length of the audio that arrived."""
        return self.samples / int(self.config.get("rate", RATE))


class Recogniser:
    """Turn words into results, as the real service does.

    An utterance is final ``pause`` seconds after its last word, or after ``longest`` seconds. Before that, each request
    that completes a word gives an interim result.
    """

    def __init__(self, pause: float = 0.5, longest: float = 15.0) -> None:
        self.reader = WordReader()
        self._pause = round(pause * RATE)
        self._longest = round(longest * RATE)
        self._words: list[Word] = []

    def read(self, sound: bytes) -> Iterator[Result]:
        """Read more audio and yield the results that are due."""
        interim = False
        for word in self.reader.read(sound):
            if self._words and word.start - self._words[-1].end >= self._pause:
                yield self._final(self._words[-1].end + self._pause)
            elif self._words and word.end - self._words[0].start > self._longest:
                yield self._final(self._words[-1].end)
            self._words.append(word)
            interim = True
        if self._words and self.reader.position - max(self._words[-1].end, self.reader.loud) >= self._pause:
            yield self._final(self._words[-1].end + self._pause)
        elif interim:
            yield Result(tuple(self._words), False, self.reader.position / RATE)

    def end(self) -> Iterator[Result]:
        """Yield the final result of the words so far, when the client has half-closed."""
        if self._words:
            yield self._final(self.reader.position)

    def _final(self, at: int) -> Result:
        words, self._words = tuple(self._words), []
        return Result(words, True, at / RATE)
