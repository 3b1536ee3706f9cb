"""The contract between the node `transcribe` and speech engines.

An engine is one of two kinds. A `Decoder` gets whole utterances and returns their words: a model on this machine.
A `Streamer` gets audio while it is spoken and reports results as they come: a provider in a network. Engines do not
cut, keep, repeat or order audio: the drivers in `transcribe` do that for all engines.

A package adds an engine by an entry point of the group ``flowcore.speech`` that names the class:
``acme = "acme_flowcore:Acme"`` makes ``engine: acme`` work. `nodes.speech.testing` holds the conformance suites.
See docs/speech-engines.md.
"""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import ClassVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from flowcore.audio import Encoding
from flowcore.diagnostics import did_you_mean
from flowcore.errors import BrokenImport, FlowcoreError
from flowcore.node import ConfigT, Configured, Extra
from flowcore.text import Word

GROUP = "flowcore.speech"
DECODER_RATE = 16000
"""Sample rate of a `Decoder`'s audio, in Hz."""


class Engine(Configured[ConfigT], ABC):
    """Base of both kinds: made with its config, opened once per process, shared by all calls.

    A graph gives the config beside the engine's name: ``engine: {use: acme, language: fr-FR}``.
    """

    REQUIRES: ClassVar[Sequence[Extra]] = ()
    """The optional packages that the engine needs; import them in `open` or later, never with the module."""

    takes_phrases: bool = False
    """Whether the engine prefers given phrases: a class attribute, or set in ``__init__`` if it depends on the config.
    Only then `Decoder.decode` or `Streamer.stream` gets any."""

    def __init__(self, config: ConfigT | None = None) -> None:
        """Keep the config; the default is the config of an engine that is only named. Touches no file or network."""
        self.config = config if config is not None else cast(ConfigT, self.Config())

    @abstractmethod
    def open(self) -> None:
        """Load the model, find the credentials. May block. Raises `CannotStart`, whose text says how to fix it."""

    @abstractmethod
    def close(self) -> None:
        """Release all resources; called once, also after `open` failed."""


class DecodeFailed(FlowcoreError):
    """The engine could not decode an utterance."""


class Decoded(msgspec.Struct, frozen=True):
    """The words of an utterance: ``text`` is empty without speech."""

    text: str
    confidence: float | None = None
    """The expected share of right words, 0 to 1; None if the engine cannot tell."""
    words: tuple[Word, ...] = ()
    """Each word of ``text``, as its white space divides it, with times in seconds from the first sample; or none."""
    language: str = ""
    """The identified language as a code such as ``de``; empty if the engine does not identify it."""


class Decoder(Engine[ConfigT]):
    """A model that decodes utterances. Opened in one thread, then used and closed in another, one call at a time."""

    remote: ClassVar[bool] = False
    """True: the model is in another process or machine, and `decode` waits for it. Such decoders run in threads of
    flowcore's process, many at once; all others have a process each."""

    @property
    def model(self) -> str:
        """Name of the model for the log, known before `open`; by default the name of the class."""
        return type(self).__name__

    @abstractmethod
    def decode(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> Decoded:
        """Return the words in ``samples``, s16 at 16 kHz, up to 30 s.

        ``phrases`` are words of the call to expect, such as names; the parameter may be missing without
        `Engine.takes_phrases`.

        Raises `DecodeFailed` for this utterance, or `Rejected` if a service will never accept any: a wrong key.
        """

    def decode_interim(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> Decoded:
        """Return the words so far of an utterance that goes on; only their text is used. By default as `decode` does.

        Utterances are decoded several times while they are spoken, so a smaller model may take less time here.
        """
        return self.decode(samples, *([phrases] if phrases else []))


@dataclass(frozen=True)
class Limits:
    """Limits that a provider sets for one stream of audio. Times are in seconds."""

    formats: tuple[tuple[Encoding, int], ...]
    """Accepted encodings, each with its rate in Hz, the best first: ``(("mulaw", 8000), ("s16", 16000))``."""
    max_stream: float = inf
    """Greatest age of a stream. Streams are renewed well before that, in a pause."""
    idle: float = inf
    """Longest time without audio. Streams are ended well before that, and begun again with the next audio."""
    max_request: int = 25_000
    """Bytes of audio allowed in one `Stream.send`."""
    pace: float = 2.0
    """Seconds of audio that may be sent per second when audio is sent again; more than 1."""
    word_times: bool = True
    """False: results have no ``words``. Then no two streams get the same audio, as nothing tells their words apart."""
    streams: int = 100
    """Streams that one connection carries. The engine itself opens as many connections as it needs."""


@dataclass(frozen=True)
class Result:
    """The text of a stretch of one stream. Times are in seconds from the stream's first sample.

    The next result replaces an interim one (``final=False``). A final result is never taken back, and no later result
    is about audio before its ``end``. Without ``words``, ``start`` must be right; with them, their times count.
    """

    text: str
    final: bool
    end: float
    start: float | None = None
    """None: the end of the stream's last final result."""
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    """0 to 1; for an interim result, the probability that it stays as it is."""


class StreamError(FlowcoreError):
    """A stream ended early. The class decides what the driver does; the text is the provider's.

    ::

        StreamError
        ├── Expired       the provider's rules (age, no audio): the driver begins the next stream at once
        ├── Unavailable   network, overload, reset, deadline: the driver tries again after a growing pause
        ├── OverQuota     too many requests: the driver tries again, then the fallback engine takes over
        └── Rejected      wrong credentials, model or language: the branch fails and reports the error
    """


class Expired(StreamError):
    """The provider ended the stream by its rules; a new stream may begin at once."""


class Unavailable(StreamError):
    """A temporary failure of the network or the provider."""


class OverQuota(StreamError):
    """The account's quota is used up."""


class Rejected(StreamError):
    """The provider will never accept this request: a stream's, or that of a remote `Decoder`."""


@dataclass(frozen=True)
class Ended:
    """The last event of a stream: after `Stream.end` and all results, or because of ``error``."""

    error: StreamError | None = None


Listener = Callable[[Result | Ended], None]
"""Receives the events of one stream: results in order, then one `Ended`. From any thread; returns at once."""


class Stream(ABC):
    """One stream of one party's audio to the provider. No method blocks or raises; calls do not overlap.

    The listener gets errors, also those of the opening, as `Ended` with an error.
    """

    @abstractmethod
    def send(self, audio: bytes) -> None:
        """Send the next samples, at most `Limits.max_request` bytes. Does nothing once the stream has ended."""

    @abstractmethod
    def end(self) -> None:
        """Send no more audio: the provider sends its last results and then ends the stream."""

    @abstractmethod
    def cancel(self) -> None:
        """Abandon the stream and free its resources. Later events are ignored."""


class Streamer(Engine[ConfigT]):
    """A provider of streams; `stream` is called from several threads."""

    limits: Limits
    """Limits of the provider: a class attribute, or set in ``__init__`` if they depend on the config."""

    @abstractmethod
    def stream(self, encoding: Encoding, rate: int, listener: Listener, phrases: Sequence[str] = ()) -> Stream:
        """Begin a stream of audio in one of `Limits.formats`. Neither waits for the provider nor raises.

        ``phrases`` are words of the call to expect, such as names; the parameter may be missing without
        `Engine.takes_phrases`.
        """


class UnknownEngine(FlowcoreError):
    """No installed package has an engine of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        help = did_you_mean(name, known, f"there are {', '.join(known) or 'none'}")
        super().__init__(f'there is no speech engine "{name}": {help}')


@cache
def available() -> dict[str, importlib.metadata.EntryPoint]:
    """Return the installed engines by name, without importing any."""
    return {point.name: point for point in sorted(importlib.metadata.entry_points(group=GROUP))}


def find(name: str) -> type[Engine]:
    """Import the engine ``name``. Raises `UnknownEngine`, or `BrokenImport` when it cannot be imported."""
    point = available().get(name)
    if point is None:
        raise UnknownEngine(name, sorted(available()))
    try:
        cls = point.load()
    except (Exception, SystemExit) as error:  # a broken module must not end a check of graphs
        raise BrokenImport(point.module, error) from error
    if not (isinstance(cls, type) and issubclass(cls, Engine)):
        raise BrokenImport(point.value, "it is not a flowcore.speech.Decoder or Streamer")
    return cls
