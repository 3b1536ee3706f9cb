"""The contract of speech engines: what `transcribe` asks of one, and all that the author of one needs to know.

An engine is one of two kinds. A `Decoder` is given whole utterances and gives their words: a model on this machine.
A `Streamer` is given audio while it is spoken and answers when it has something to say: a provider in a network.
Neither cuts, keeps, repeats or orders anything: that is done once, for all of them, by what drives them.

A package brings its engine to graphs by an entry point of the group ``flowcore.speech`` that names the class:
``acme = "acme_flowcore:Acme"`` makes ``engine: acme`` work. `flowcore.testing.speech` tells whether it keeps the
contract. See docs/speech-engines.md.
"""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import Encoding
from flowcore.diagnostics import did_you_mean
from flowcore.errors import BrokenImport, FlowcoreError
from flowcore.node import ConfigT, Configured, Extra
from flowcore.text import Word

GROUP = "flowcore.speech"


class Engine(Configured[ConfigT], ABC):
    """What both kinds have in common: made with its config, opened once per process, shared by all calls.

    The config is what stands in a graph beside the engine's name: ``engine: {use: acme, language: fr-FR}``.
    """

    REQUIRES: ClassVar[Sequence[Extra]] = ()
    """The optional packages that it needs; import them in `open` or later, never with the module."""

    def __init__(self, config: ConfigT | None = None) -> None:
        """Keep the config, by default that of an engine that is only named. Touches no file, network or model."""
        self.config = config if config is not None else cast(ConfigT, self.Config())

    @abstractmethod
    def open(self) -> None:
        """Get ready: load the model, find the credentials. May block. Raises `CannotStart` with what would fix it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; called once, also when `open` failed."""


class DecodeFailed(FlowcoreError):
    """The engine could not decode an utterance."""


class Decoder(Engine[ConfigT]):
    """A loaded model. Made and opened in one thread, then used and closed in another, by one caller at a time."""

    @abstractmethod
    def decode(self, samples: NDArray[np.int16]) -> str:
        """The words in ``samples``, s16 at 16 kHz, up to 30 s; empty when there are none. Raises `DecodeFailed`."""


@dataclass(frozen=True)
class Limits:
    """What a provider allows one stream of audio. Times are in seconds."""

    formats: tuple[tuple[Encoding, int], ...]
    """Encodings it takes, each with its rate in Hz, the best first: ``(("mulaw", 8000), ("s16", 16000))``."""
    max_stream: float = inf
    """How long one stream may live. Streams are renewed well before, at a place where nobody speaks."""
    idle: float = inf
    """How long a stream may be without audio. Streams are ended well before, and begun again with the next audio."""
    max_request: int = 25_000
    """Bytes of audio that may go into one `Stream.send`."""
    pace: float = 2.0
    """Seconds of audio that may be sent in a second, when there is some to be sent again; more than 1."""
    streams: int = 100
    """Streams that one connection carries: for the engine itself, which opens as many connections as it needs."""


@dataclass(frozen=True)
class Result:
    """What the provider understood of a stretch of one stream. Times are in seconds from the stream's first sample.

    An interim result (``final=False``) is replaced by the next one; a final one is never taken back, and nothing
    before its ``end`` follows it. Without ``words``, ``start`` must be right; with them, their times count.
    """

    text: str
    final: bool
    end: float
    start: float | None = None
    """None: where the last final result of the stream ended."""
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    """0 to 1; for an interim result, how unlikely it is to change."""


class StreamError(FlowcoreError):
    """A stream has ended before its time. The class says what to do about it; the text is the provider's.

    ::

        StreamError
        ├── Expired       by the provider's rules (its age, no audio): the next one is begun at once
        ├── Unavailable   network, overload, reset, deadline: tried again after a pause that grows
        ├── OverQuota     too much was asked for: tried again more patiently, then the fallback engine takes over
        └── Rejected      it will never work like this (credentials, model, language): the branch fails, loudly
    """


class Expired(StreamError):
    """The provider ended it by its rules; a new stream may begin at once."""


class Unavailable(StreamError):
    """It did not work this time."""


class OverQuota(StreamError):
    """More was asked for than the account may."""


class Rejected(StreamError):
    """Trying again is no use."""


@dataclass(frozen=True)
class Ended:
    """The last that is heard of a stream: after `Stream.end` and every result, or because of ``error``."""

    error: StreamError | None = None


Listener = Callable[[Result | Ended], None]
"""Takes what comes of one stream: results in their order, then one `Ended`. From any thread; returns at once."""


class Stream(ABC):
    """One stream of one party's audio to the provider. No method blocks or raises; calls do not overlap.

    What goes wrong, also while it is opened, is told to the listener as `Ended` with an error.
    """

    @abstractmethod
    def send(self, audio: bytes) -> None:
        """The next samples, no more than `Limits.max_request` bytes. Does nothing once the stream has ended."""

    @abstractmethod
    def end(self) -> None:
        """No more audio: the provider is to finish what it has and then end the stream."""

    @abstractmethod
    def cancel(self) -> None:
        """Give the stream up and free what it holds. Nothing of it needs to be heard any more."""


class Streamer(Engine[ConfigT]):
    """A provider of streams; `stream` is called from several threads."""

    limits: Limits
    """The table of its limits: of the class, or set in ``__init__`` where the config decides."""

    @abstractmethod
    def stream(self, encoding: Encoding, rate: int, listener: Listener) -> Stream:
        """Begin a stream of audio in one of `Limits.formats`. Does not wait for the provider, and does not raise."""


class UnknownEngine(FlowcoreError):
    """No installed package brings an engine of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        help = did_you_mean(name, known, f"there are {', '.join(known) or 'none'}")
        super().__init__(f'there is no speech engine "{name}": {help}')


@cache
def available() -> dict[str, importlib.metadata.EntryPoint]:
    """The installed engines by name; nothing of them is imported."""
    return {point.name: point for point in sorted(importlib.metadata.entry_points(group=GROUP))}


def find(name: str) -> type[Engine]:
    """Import the engine ``name``. Raises `UnknownEngine`, or `BrokenImport` when it cannot be imported."""
    point = available().get(name)
    if point is None:
        raise UnknownEngine(name, sorted(available()))
    try:
        cls = point.load()
    except (Exception, SystemExit) as error:  # whatever somebody's module does, it must not end a check of graphs
        raise BrokenImport(point.module, error) from error
    if not (isinstance(cls, type) and issubclass(cls, Engine)):
        raise BrokenImport(point.value, "it is no flowcore.speech.Decoder or Streamer")
    return cls
