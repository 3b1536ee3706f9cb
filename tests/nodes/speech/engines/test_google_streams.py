"""Whole calls with the engine `google`, over real gRPC: every word once, whatever the stand-in does to the streams."""

import threading
from collections import Counter

import numpy as np
import pytest

from nodes.speech.testing import StreamingConformance
from tools.fake_google import FakeGoogle, Limits, mulaw, random_faults

pytestmark = pytest.mark.slow


class Hand:
    now = 0.0

    def __call__(self):
        return self.now


class Google(StreamingConformance):
    """The suite that every engine has to pass; streams live for 18 s, so that seven minutes are enough."""

    engine = "google"
    speed = 100
    minutes = 7
    version: int
    lives = Limits(22.0, burst=5, pace=2)  # how old the stand-in lets them get: a little more than `call` tells
    told = 18.0

    @pytest.fixture(autouse=True)
    def _google(self):
        self.hand = Hand()
        limits = {self.version: self.lives}
        with FakeGoogle(clock=self.hand, limits=limits, fault=self.fault, drain=0.3) as self.google:
            self.config = {"endpoint": self.google.address, "plaintext": True, "version": self.version}
            yield

    def fault(self, number):
        return None

    def tick(self, now):
        """Time passes for the stand-in, too; but never faster than the two event loops go round on a busy machine."""
        self.hand.now = now
        for _ in range(3):
            self.google.turn()
            turned = threading.Event()
            self.running.injector.inner._client.post(turned.set)
            turned.wait(1)

    def call(self, *, max_stream=None, **more):
        self.running = super().call(max_stream=self.told, **more)
        return self.running

    def speak(self, words, seconds):
        spoken = [(word.number, word.start, word.end) for word in words]
        return np.frombuffer(mulaw(spoken, seconds), np.uint8), "mulaw", 8000

    def assert_transcript(self, call, words):
        super().assert_transcript(call, words)
        assert {stream.config["encoding"] for stream in self.google.streams if stream.config} == {"mulaw"}
        assert max(stream.largest for stream in self.google.streams) <= 25_000

    def outcomes(self):
        return Counter(stream.outcome for stream in self.google.streams)


class TestV1(Google):
    version = 1


class TestV2(Google):
    version = 2


class TestRollOverByTheProvider(Google):
    """The driver believes in 5 minutes; the stand-in ends every stream after 12 s, be it in the middle of a word."""

    version = 2
    minutes = 8
    lives = Limits(12.0, burst=5, pace=2)
    told = 300.0
    test_every_word_once_though_a_third_of_all_streams_fail = None

    def test_every_word_once_across_twenty_roll_overs_with_holds(self):
        super().test_every_word_once_across_twenty_roll_overs_with_holds()
        assert self.outcomes()["ABORTED"] > 10
        assert any(stream.broken for stream in self.google.streams)


class TestErrorsOfTheProvider(Google):
    """Statuses come over the wire for two streams in five, at any moment of their lives."""

    version = 2
    minutes = 8
    test_every_word_once_though_a_third_of_all_streams_fail = None
    chance = staticmethod(random_faults(0.4, seed=4, within=8.0, kinds=("UNAVAILABLE", "INTERNAL", "ABORTED", "hang")))

    def fault(self, number):
        return self.chance(number) if self.hand.now < 60 * self.minutes - 30 else None  # a call has 8 s for its end

    def test_every_word_once_across_twenty_roll_overs_with_holds(self):
        super().test_every_word_once_across_twenty_roll_overs_with_holds()
        assert sum(self.outcomes()[code] for code in ("UNAVAILABLE", "INTERNAL", "ABORTED")) > 3
