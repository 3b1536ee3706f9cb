"""What a streaming speech engine must keep to, as tests that run it: inherit from `StreamingConformance`.

::

    class TestAcme(StreamingConformance):
        engine = "acme"
        config = {"endpoint": "127.0.0.1:8700"}
        def speak(self, words): ...     # audio in which your provider, or your stand-in for it, hears these words

The engine runs as it does in a graph, driven by the node `transcribe`; faults are injected between the two, so that the
provider need not make any. pytest finds the tests; nothing here imports it.
"""

from __future__ import annotations

import random
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Event, Lock
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import Audio, Encoding
from flowcore.registry import available
from flowcore.speech import Ended, Expired, Limits, Listener, OverQuota, Rejected, Result, Stream, Streamer, Unavailable
from flowcore.testing.nodes import NodeHarness
from flowcore.text import Text

StreamFault = Literal["", "refuse", "reset", "quota", "expire", "deafen", "hang", "reject"]
"""What befalls a stream: it cannot be opened, breaks off, is told of a quota, or ends as too old at once; it hears
nothing from some moment on but ends in order; it says nothing any more; or it is turned down for good."""
CHUNK = 0.1  # seconds
NEAR = 0.02  # seconds by which a word's times may differ
ERRORS = {"refuse": Unavailable, "reset": Unavailable, "quota": OverQuota, "expire": Expired, "reject": Rejected}


@dataclass(frozen=True)
class Spoken:
    """One word, and when it is said, in seconds on the flow's clock."""

    number: int
    start: float
    end: float


class Watched(Streamer):
    """An engine between the driver and the provider: holds both to the contract, and injects faults.

    ``breaches`` are sentences about who broke it. The limits are those of the engine, or narrower ones.
    """

    def __init__(
        self, inner: Streamer, now: Callable[[], float], limits: Limits, fault: Callable[[int], StreamFault]
    ) -> None:
        super().__init__(inner.config)
        self.inner = inner
        self.now = now
        self.limits = limits
        self.fault = fault
        self.streams: list[_WatchedStream] = []
        self.breaches: list[str] = []

    def open(self) -> None:
        self.inner.open()

    def close(self) -> None:
        self.inner.close()

    def stream(self, encoding: Encoding, rate: int, listener: Listener) -> Stream:
        if (encoding, rate) not in self.limits.formats:
            self.breaches.append(f"the driver sends {encoding} at {rate} Hz")
        stream = _WatchedStream(self, len(self.streams) + 1, encoding, rate, listener)
        self.streams.append(stream)
        return stream

    def tick(self) -> None:
        """Let go what its age ends."""
        for stream in self.streams:
            stream.tick()


class _WatchedStream(Stream):
    def __init__(self, owner: Watched, number: int, encoding: Encoding, rate: int, listener: Listener) -> None:
        self.owner = owner
        self.number = number
        self.fault = owner.fault(number)
        self.opened = self.last = owner.now()
        self.bytes = 0
        self.over = False
        self.half_closed = False
        self.silent = False
        self._rate = rate * (2 if encoding == "s16" else 1)
        self._listener = listener
        self._lock = Lock()
        self._turn = 1 + number % 7  # seconds of audio after which the fault comes
        self.inner: Stream | None = owner.inner.stream(encoding, rate, self._heard)
        if self.fault in ("refuse", "quota", "reject"):
            self._break()

    def send(self, audio: bytes) -> None:
        limits, now = self.owner.limits, self.owner.now()
        self.bytes += len(audio)
        self._breach(len(audio) > limits.max_request, f"a request of {len(audio)} bytes")
        self._breach(self.half_closed, "audio after the end")
        allowed = 2.0 + limits.pace * (now - self.opened + CHUNK)
        self._breach(self.bytes / self._rate > allowed, "audio faster than the limits say")
        self.last = now
        if self.fault in ("reset", "expire", "hang", "deafen") and self.bytes >= self._turn * self._rate:
            self.silent = self.silent or self.fault in ("hang", "deafen")
            if self.fault in ("reset", "expire"):
                self._break()
        if self.inner is not None and not self.over and not (self.silent and self.fault == "deafen"):
            self.inner.send(audio)

    def end(self) -> None:
        self._breach(self.half_closed, "two ends")
        self.half_closed = True
        if self.inner is not None and not self.over:
            self.inner.end()

    def cancel(self) -> None:
        self.over = True
        if self.inner is not None:
            self.inner.cancel()
            self.inner = None

    def tick(self) -> None:
        limits, now = self.owner.limits, self.owner.now()
        if self.over or self.half_closed:
            return
        if now - self.opened > limits.max_stream or now - self.last > limits.idle:
            tried = self.number < len(self.owner.streams)  # to begin another one, and could not
            self._breach(not tried, "the stream was left to get too old, or to idle")
            self._break(Expired("too old"))

    def _heard(self, event: Result | Ended) -> None:  # in any thread
        with self._lock:
            if self.over:
                return
            if isinstance(event, Result):
                self._breach(event.end > self.bytes / self._rate + NEAR, "a result of audio that was never sent")
            self.over = isinstance(event, Ended) and not (self.silent and self.fault == "hang")
        if not (self.silent and self.fault == "hang"):
            self._listener(event)

    def _break(self, error: Exception | None = None) -> None:
        with self._lock:
            if self.over:
                return
            self.over = True
        if self.inner is not None:
            self.inner.cancel()
            self.inner = None
        kind: Any = ERRORS.get(self.fault, Unavailable)
        self._listener(Ended(error or kind(f"fault: {self.fault}")))  # type: ignore[arg-type]

    def _breach(self, broken: bool, what: str) -> None:
        if broken and not self.over:
            self.owner.breaches.append(f"stream {self.number}, {self.owner.now() - self.opened:.1f} s old: {what}")


class Call:
    """One `transcribe` of one call: ``play`` audio to it, ``finish``, look at ``texts``.

    ``speed`` 0 is a virtual clock, on which nothing takes time; else so many seconds pass in a real one.
    """

    def __init__(
        self,
        engine: str | Mapping[str, Any],
        limits: Mapping[str, float],
        fault: Callable[[int], StreamFault],
        speed: float,
        settings: Mapping[str, Any],
        tick: Callable[[float], None],
    ) -> None:
        cls: Any = available()["transcribe"].load()
        config = cls.Config(engine=engine, **settings)
        self.resource: Any = cls.make_resource(config)
        self.resource.open()
        self._speed = speed
        self._tick = tick
        self._began = time.monotonic()
        self._woken = Event()
        inner = self.resource.streamer
        self.watched = Watched(inner, lambda: self.harness.now, replace(inner.limits, **limits), fault)
        self.resource.streamer = self.watched
        self.harness = NodeHarness(cls, {"engine": engine, **settings}, resource=self.resource)
        self.harness.node.wake = self._woken.set

    @property
    def texts(self) -> list[Text]:
        """All that came out."""
        return self.harness.out

    @property
    def finals(self) -> list[Text]:
        """The final texts with words."""
        return [text for text in self.texts if text.final and text.text]

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """From when to when nothing was understood."""
        return [(text.start, text.end) for text in self.texts if text.gap]

    def play(self, chunks: Sequence[Audio]) -> Call:
        """Each chunk when its last sample has been spoken; a hole takes its time."""
        for chunk in chunks:
            self.wait(chunk.end / chunk.rate - self.harness.now)
            self.harness.push(chunk)
            self._look()
        return self

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        until = self.harness.now + seconds
        while self.harness.now < until:
            if self._speed:
                self._woken.wait(0.005 if self._speed > 1 else 0.02)
                passed = (time.monotonic() - self._began) * self._speed - self.harness.now
                self.harness.now += max(0.0, min(passed, 0.5))
                self.harness.wait(0)
                self.harness._alarms.ring()
            else:
                self.harness.wait(min(0.02, until - self.harness.now))
            self._tick(self.harness.now)
            self.watched.tick()
            self._look()

    def finish(self, within: float = 20.0) -> float:
        """What the engine does at the end of a call; how long it took in seconds. It need not have ended in time."""
        began = self.harness.now
        self.harness.node.flush(self.texts.append)
        self._look()
        self.harness.collect()
        while self.harness.node.busy() and self.harness.now < began + within:
            self.wait(0.02)
        took = self.harness.now - began
        self.harness.node.close()
        self.resource.close()
        return took

    def _look(self) -> None:
        if self._woken.is_set():
            self._woken.clear()
            self.harness.collect()


class StreamingConformance:
    """Zero words lost and zero said twice, whatever happens between two streams."""

    engine: ClassVar[str]
    """Its name in graphs."""
    config: ClassVar[Mapping[str, Any]] = {}
    """What stands beside its name."""
    speed: ClassVar[float] = 1.0
    """How many seconds pass in a real one: your stand-in may be quicker than a provider; 0 on a virtual clock."""
    minutes: ClassVar[float] = 12.0
    """Length of the long call, in which streams live for half a minute: 20 and more of them."""

    @abstractmethod
    def speak(self, words: Sequence[Spoken], seconds: float) -> tuple[NDArray[Any], Encoding, int]:
        """Audio of that length in which these words are said, its encoding and its rate."""

    def written(self, number: int) -> str:
        """How the provider writes word ``number``."""
        return f"w{number}"

    def tick(self, now: float) -> None:
        """Called as time passes, for what keeps time itself."""

    # The tests.

    def test_every_word_once_across_twenty_roll_overs_with_holds(self) -> None:
        words, holds = made_up(60 * self.minutes, seed=1)
        call = self.call(max_stream=30.0)
        self.play(call, words, holds)
        call.finish()
        self.right(call, words)
        assert not call.gaps
        assert len(call.watched.streams) > 20

    def test_every_word_once_though_a_third_of_all_streams_fail(self) -> None:
        chance = random.Random(2)
        kinds: Sequence[StreamFault] = ("refuse", "reset", "quota", "expire", "hang")
        fault = partial(_random_fault, chance, kinds)
        words, holds = made_up(30 * self.minutes, seed=2)
        call = self.call(fault=fault, max_stream=30.0)
        self.play(call, words, holds)
        call.finish()
        self.right(call, words)

    def test_the_last_word_after_the_end(self) -> None:
        words = [Spoken(1, 0.5, 0.9), Spoken(2, 1.2, 1.6)]
        call = self.call()
        self.play(call, words, [], seconds=1.6)
        call.finish()
        self.right(call, words)

    def test_a_provider_that_hangs_costs_no_more_than_the_time_there_is(self) -> None:
        words = [Spoken(1, 0.5, 0.9), Spoken(2, 9.0, 9.4)]
        call = self.call(fault=lambda number: "hang")
        self.play(call, words, [], seconds=10.0)
        assert call.finish() < 10.0  # the engine's own deadline for the end of a call
        assert call.gaps, "nobody was told of the words that were lost"
        said = {text.text for text in call.finals}
        assert said <= {self.written(1)}

    # What they are made of.

    def call(
        self,
        *,
        fault: Callable[[int], StreamFault] = lambda number: "",
        settings: Mapping[str, Any] = {},
        **limits: float,
    ) -> Call:
        """One call with this engine."""
        return Call({"use": self.engine, **self.config}, limits, fault, self.speed, settings, self.tick)

    def play(
        self, call: Call, words: Sequence[Spoken], holds: Sequence[tuple[float, float]], seconds: float = 0.0
    ) -> None:
        """Say the words; no audio comes during the holds."""
        length = max([seconds, *(word.end for word in words)])
        samples, encoding, rate = self.speak(words, length)
        call.play(cut(samples, encoding, rate, holds))

    def right(self, call: Call, words: Sequence[Spoken]) -> None:
        """Every word once, in order and in its place; and nobody broke the contract."""
        assert not call.watched.breaches
        said = [word for text in call.finals for word in text.words]
        assert [word.text for word in said] == [self.written(word.number) for word in words]
        for told, true in zip(said, words, strict=True):
            assert abs(told.start - true.start) <= NEAR, (told, true)
            assert abs(told.end - true.end) <= NEAR, (told, true)
        assert " ".join(text.text for text in call.finals).split() == [word.text for word in said]
        assert [text.utterance for text in call.texts if text.final] == list(range(sum(t.final for t in call.texts)))


def _random_fault(chance: random.Random, kinds: Sequence[StreamFault], number: int) -> StreamFault:
    return chance.choice(kinds) if chance.random() < 0.3 else ""


def made_up(seconds: float, seed: int) -> tuple[list[Spoken], list[tuple[float, float]]]:
    """Words as people say them: in sentences, with pauses between, and now and then a hold, in which no audio comes."""
    chance = random.Random(seed)  # a test wants the same ones each time
    words: list[Spoken] = []
    holds = []
    at = 0.5
    while at < seconds:
        for _ in range(chance.randint(1, 12)):
            length = chance.randrange(100, 500, 5) / 1000
            words.append(Spoken(len(words) + 1, at, at + length))
            at = round(at + length + chance.choice([0.0, 0.05, 0.1, 0.3]), 3)
        pause = chance.choice([0.6, 0.8, 1.5, 4.0])
        if chance.random() < 0.1:
            hold = chance.choice([3.0, 8.0, 40.0])
            holds.append((round(at + 0.3, 3), round(at + 0.3 + hold, 3)))
            pause += hold
        at = round(at + 0.3 + pause, 3)
    return words, holds


def cut(
    samples: NDArray[Any],
    encoding: Encoding,
    rate: int,
    holds: Sequence[tuple[float, float]] = (),
    track: str = "agent",
) -> list[Audio]:
    """The audio in chunks of 100 ms, without what lies in the holds."""
    bounds = [0, *(round(second * rate) for hold in holds for second in hold), len(samples)]
    chunks = []
    for start, end in zip(bounds[::2], bounds[1::2], strict=True):
        for at in range(start, end, round(CHUNK * rate)):
            piece = samples[at : min(end, at + round(CHUNK * rate))]
            chunks.append(Audio(np.ascontiguousarray(piece), encoding, rate, track, at))
    return chunks
