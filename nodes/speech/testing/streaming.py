"""The conformance suite for streaming engines: a test class inherits from `StreamingConformance`.

::

    class TestAcme(StreamingConformance):
        engine = "acme"
        config = {"endpoint": "127.0.0.1:8700"}
        def speak(self, words, seconds): ...     # audio in which the provider, or a stand-in for it, hears these words

The node `transcribe` drives the engine, as in a graph. Faults are injected between the two, so the provider need not
produce any. pytest finds the tests; this module does not import pytest.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from numpy.typing import NDArray

from flowcore import Encoding
from nodes.speech.testing.fault_injection import TIME_TOLERANCE, StreamFault
from nodes.speech.testing.harness import Holds, TranscribeHarness, to_chunks

BOUND_TOLERANCE = 0.05  # seconds by which a word may lie outside of its text: voice is detected in windows of 32 ms


@dataclass(frozen=True)
class SpokenWord:
    """A word by its number, with its start and end in seconds on the flow's clock."""

    number: int
    start: float
    end: float


class StreamingConformance:
    """Tests of streaming engines: no word is lost and none comes twice when one stream follows another."""

    engine: ClassVar[str]
    """Name of the engine in graphs."""
    config: ClassVar[Mapping[str, Any]] = {}
    """Config of the engine in graphs."""
    speed: ClassVar[float] = 1.0
    """Seconds of the call that pass in one real second: more than 1 for a fast stand-in, 0 for a virtual clock."""
    word_times: ClassVar[bool] = True
    """False for an engine whose results have no words: then each word must lie within the times of its text."""
    minutes: ClassVar[float] = 12.0
    """Length of the long call in minutes. Its streams live for 30 s, so the default gives more than 20 of them."""

    @abstractmethod
    def speak(self, words: Sequence[SpokenWord], seconds: float) -> tuple[NDArray[Any], Encoding, int]:
        """Audio of that length in which these words are spoken, its encoding and its rate in Hz."""

    def word_text(self, number: int) -> str:
        """Spelling of word ``number`` in the provider's results."""
        return f"w{number}"

    def tick(self, now: float) -> None:
        """Called as time passes, for stand-ins with a clock of their own."""

    # The tests.

    def test_every_word_once_across_twenty_roll_overs_with_holds(self) -> None:
        words, holds = random_words(60 * self.minutes, seed=1)
        call = self.call(max_stream=30.0)
        self.play(call, words, holds)
        call.finish()
        self.assert_transcript(call, words)
        assert not call.gaps
        assert len(call.injector.streams) > 20

    def test_every_word_once_though_a_third_of_all_streams_fail(self) -> None:
        rng = random.Random(2)
        faults: Sequence[StreamFault] = ("refuse", "reset", "quota", "expire", "hang")
        words, holds = random_words(30 * self.minutes, seed=2)
        call = self.call(fault=partial(_random_fault, rng, faults), max_stream=30.0)
        self.play(call, words, holds)
        call.finish()
        self.assert_transcript(call, words)

    def test_the_last_word_after_the_end(self) -> None:
        words = [SpokenWord(1, 0.5, 0.9), SpokenWord(2, 1.2, 1.6)]
        call = self.call()
        self.play(call, words, [], seconds=1.6)
        call.finish()
        self.assert_transcript(call, words)

    def test_a_provider_that_hangs_delays_the_end_no_longer_than_the_deadline(self) -> None:
        words = [SpokenWord(1, 0.5, 0.9), SpokenWord(2, 9.0, 9.4)]
        call = self.call(fault=lambda number: "hang")
        self.play(call, words, [], seconds=10.0)
        assert call.finish() < 10.0  # the engine's own deadline for the end of a call
        assert call.gaps, "the transcript does not mark the words that were lost"
        assert {text.text for text in call.finals} <= {self.word_text(1)}

    # Building blocks, also for tests of your own.

    def call(
        self,
        *,
        fault: Callable[[int], StreamFault] = lambda number: "",
        settings: Mapping[str, Any] = {},
        **limits: float,
    ) -> TranscribeHarness:
        """Begin a call with this engine; ``fault`` gives the fault of each stream by its number, from 1."""
        return TranscribeHarness({"use": self.engine, **self.config}, limits, fault, self.speed, settings, self.tick)

    def play(self, call: TranscribeHarness, words: Sequence[SpokenWord], holds: Holds, seconds: float = 0.0) -> None:
        """Play the words, ``seconds`` of audio at least, without the audio of the holds."""
        call.play(to_chunks(*self.speak(words, max([seconds, *(word.end for word in words)])), holds))

    def assert_transcript(self, call: TranscribeHarness, words: Sequence[SpokenWord]) -> None:
        """Assert that every word came once, in order and at its time, and that no limit was passed."""
        assert not call.injector.breaches
        spoken = [self.word_text(word.number) for word in words]
        assert " ".join(text.text for text in call.finals).split() == spoken
        if self.word_times:
            said = [word for text in call.finals for word in text.words]
            assert [word.text for word in said] == spoken
            for found, true in zip(said, words, strict=True):
                assert abs(found.start - true.start) <= TIME_TOLERANCE, (found, true)
                assert abs(found.end - true.end) <= TIME_TOLERANCE, (found, true)
        else:
            texts = (text for text in call.finals for _ in text.text.split())
            for text, true in zip(texts, words, strict=True):
                assert text.start - BOUND_TOLERANCE <= true.start, (text, true)
                assert true.end <= text.end + BOUND_TOLERANCE, (text, true)
        assert [text.utterance for text in call.texts if text.final] == list(range(sum(t.final for t in call.texts)))


def _random_fault(rng: random.Random, faults: Sequence[StreamFault], number: int) -> StreamFault:
    return rng.choice(faults) if rng.random() < 0.3 else ""


def random_words(seconds: float, seed: int) -> tuple[list[SpokenWord], list[tuple[float, float]]]:
    """Words in sentences with pauses between them, and holds."""
    rng = random.Random(seed)
    words: list[SpokenWord] = []
    holds = []
    at = 0.5
    while at < seconds:
        for _ in range(rng.randint(1, 12)):
            length = rng.randrange(100, 500, 5) / 1000
            words.append(SpokenWord(len(words) + 1, at, at + length))
            at = round(at + length + rng.choice([0.0, 0.05, 0.1, 0.3]), 3)
        pause = rng.choice([0.6, 0.8, 1.5, 4.0])
        if rng.random() < 0.1:
            hold = rng.choice([3.0, 8.0, 40.0])
            holds.append((round(at + 0.3, 3), round(at + 0.3 + hold, 3)))
            pause += hold
        at = round(at + 0.3 + pause, 3)
    return words, holds
