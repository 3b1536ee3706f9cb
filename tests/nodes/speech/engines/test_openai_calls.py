"""Whole calls with the engine `openai_realtime`, over real WebSockets: every word once, whatever the fake does."""

import random

import pytest

from nodes.speech.engines import openai_realtime
from tests.nodes.speech.engines.loud_voices import LoudVoices
from tests.support.speech_services import Hand, ServiceConformance
from tools.fake_openai import RealtimeService
from tools.fake_openai.rules import KEY

pytestmark = pytest.mark.slow


class Calls(ServiceConformance):
    engine = "openai_realtime"
    word_times = False
    max_session = 22.0
    config = {}

    @pytest.fixture(autouse=True)
    def _service(self, monkeypatch):
        monkeypatch.setattr(openai_realtime, "VoiceModel", LoudVoices)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        self.hand = Hand()
        options = {"clock": self.hand, "max_session": self.max_session, "fault": self.fault, "late": self.late}
        with RealtimeService(**options) as self.service:
            self.config = {"url": self.service.url, **type(self).config}
            yield

    def fault(self, number):
        return ""

    def late(self, turn):
        return False

    def loop(self):
        return self.running.injector.inner._loop

    def errors(self):
        return [error for session in self.service.sessions for error in session.errors]


class TestLiveModel(Calls):
    """Words come while they are spoken."""

    def test_every_word_once_across_twenty_roll_overs_with_holds(self):
        super().test_every_word_once_across_twenty_roll_overs_with_holds()
        assert self.errors() == []
        sessions = self.service.sessions
        assert sum(session.seconds for session in sessions) < self.hand.now  # silence is not sent
        assert any(not text.final for text in self.running.texts)


class TestOlderModel(Calls):
    """Words come after the commit, and the texts of some turns after that of the next one."""

    config = {"model": "gpt-4o-transcribe"}

    def late(self, turn):
        return turn % 5 == 2


class TestEndsByTheService(Calls):
    """The driver believes in an hour; the service ends every session after 12 s, be it in the middle of a word."""

    told = 3600.0
    max_session = 12.0
    test_every_word_once_though_a_third_of_all_streams_fail = None

    def test_every_word_once_across_twenty_roll_overs_with_holds(self):
        super().test_every_word_once_across_twenty_roll_overs_with_holds()
        assert len([error for error in self.errors() if "maximum duration" in error]) > 10


class TestErrorsOfTheService(Calls):
    """Two sessions in five fail: refused, dropped, hanging, or with a turn that cannot be transcribed."""

    test_every_word_once_though_a_third_of_all_streams_fail = None
    kinds = ("drop", "failed", "hang", "busy", "broken")

    @pytest.fixture(autouse=True)
    def _no_faults(self):
        self.faults = set()

    def fault(self, number):
        rng = random.Random(f"4/{number}")
        early = self.hand.now < 60 * self.minutes - 30  # a call has 8 s for its end
        fault = rng.choice(self.kinds) if early and rng.random() < 0.4 else ""
        self.faults.add(fault)
        return fault

    def test_every_word_once_across_twenty_roll_overs_with_holds(self):
        super().test_every_word_once_across_twenty_roll_overs_with_holds()
        assert self.faults == {"", *self.kinds}
