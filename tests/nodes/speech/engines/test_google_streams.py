"""Whole calls with the engine `google`, over real gRPC: every word once, whatever the stand-in does to the streams."""

from collections import Counter

import pytest

from tests.support.speech_services import Hand, ServiceConformance
from tools.fake_google import FakeGoogle, Limits, random_faults

pytestmark = pytest.mark.slow


class Google(ServiceConformance):
    engine = "google"
    version: int
    lives = Limits(22.0, burst=5, pace=2)  # how old the stand-in lets them get: a little more than `call` tells

    @pytest.fixture(autouse=True)
    def _google(self):
        self.hand = Hand()
        limits = {self.version: self.lives}
        with FakeGoogle(clock=self.hand, limits=limits, fault=self.fault, drain=0.3) as self.service:
            self.config = {"endpoint": self.service.address, "plaintext": True, "version": self.version}
            yield

    def fault(self, number):
        return None

    def loop(self):
        return self.running.injector.inner._client

    def assert_transcript(self, call, words):
        super().assert_transcript(call, words)
        assert {stream.config["encoding"] for stream in self.service.streams if stream.config} == {"mulaw"}
        assert max(stream.largest for stream in self.service.streams) <= 25_000

    def outcomes(self):
        return Counter(stream.outcome for stream in self.service.streams)


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
        assert any(stream.broken for stream in self.service.streams)


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
