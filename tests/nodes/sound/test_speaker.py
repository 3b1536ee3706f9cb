"""The speaker with a card that exists only in the test: what it reports, and how it answers requests."""

import threading
from datetime import datetime

import numpy as np
import pytest

from nodes.sound.card import NoCard
from nodes.sound.mixer import Call, Choice
from nodes.sound.speaker import Speaker
from tests.support.live import until
from tests.support.recordings import EventReport


class ScriptedCard:
    """A card that plays two blocks, then is lost; the first of all cards cannot be opened."""

    name = "test card"
    latency = 0.08
    opened = 0
    played: list[np.ndarray] = []

    def __init__(self, device, rate):
        type(self).opened += 1
        if self.opened == 1:
            raise NoCard("there is no sound output")
        self._blocks = 0

    def write(self, block):
        self._blocks += 1
        if self._blocks > 2 and self.opened == 2:
            raise NoCard("the card is gone")
        self.played.append(block.copy())
        self.idle.wait(0.001)
        return self._blocks == 1

    def close(self):
        pass


@pytest.fixture
def speaker(monkeypatch):
    card = type("Card", (ScriptedCard,), {"opened": 0, "played": [], "idle": threading.Event()})
    monkeypatch.setattr("nodes.sound.speaker.Card", card)
    monkeypatch.setattr("nodes.sound.speaker.PortAudio.load", lambda: None)
    monkeypatch.setattr("nodes.sound.speaker.RETRY_INTERVAL", 0.0)
    speaker = Speaker("", 16000)
    speaker.now = lambda: 0.0
    speaker.report = EventReport()
    yield speaker
    speaker.close()


def call(name, select="newest"):
    return Call(name, name, datetime.fromisoformat("2026-01-02T03:04:05+00:00"), Choice(select))


def test_each_change_of_the_card_is_reported_once(speaker):
    speaker.open()
    until(lambda: len(speaker.report.events) == 4)
    names = [event for event, _ in speaker.report.events]
    assert names == ["speaker_missing", "speaker_returned", "speaker_lost", "speaker_returned"]
    missing, returned = speaker.report.events[0][1], speaker.report.events[1][1]
    assert (missing["device"], str(missing["cause"])) == ("default", "there is no sound output")
    assert returned == {"device": "test card", "latency_ms": 80}
    until(lambda: speaker.underruns == 2)
    assert speaker.playing


def test_a_speaker_that_never_opened_closes_at_once():
    Speaker("", 16000).close()


def test_speakers_of_one_device_and_rate_are_one():
    assert Speaker("a", 16000) == Speaker("a", 16000) != Speaker("a", 48000)
    assert Speaker("a", 16000) != "a"
    assert len({Speaker("a", 16000), Speaker("a", 16000), Speaker("b", 16000)}) == 2


def test_the_newest_call_of_all_workers_is_heard(speaker, monkeypatch):
    told = []
    monkeypatch.setattr(speaker, "tell", told.append)
    one = call("one")
    speaker.mixer.join(one)
    began = one.began.timestamp()
    assert (told, one.heard) == ([began], True)
    speaker.on_worker_message(2, began + 10)
    speaker.on_worker_message(3, began + 5)
    assert not one.heard
    speaker.on_worker_exit(2)
    assert not one.heard
    speaker.on_worker_exit(3)
    assert one.heard
    speaker.on_worker_exit(3)
    assert told == [began]  # told once


def test_a_request_shows_the_calls_and_changes_the_selection(speaker, monkeypatch):
    monkeypatch.setattr(speaker, "tell", lambda message: None)
    speaker.mixer.join(call("one"))
    speaker.mixer.join(call("two"))
    state = speaker.on_control_request({"ask": "monitor"})
    assert (state["device"], state["underruns"], len(state["calls"])) == ("", 0, 2)
    state = speaker.on_control_request({"ask": "monitor", "change": {"select": "all", "volume": 0.5}})
    assert [(one["heard"], one["volume_db"]) for one in state["calls"]] == [(True, -6.0)] * 2
    state = speaker.on_control_request({"ask": "monitor", "change": {"channels": "agent", "volume": 99.0}})
    assert [(one["select"], one["channels"], one["volume_db"]) for one in state["calls"]] == [("all", "agent", 20)] * 2
    state = speaker.on_control_request({"ask": "monitor", "reset": True})
    assert {one["select"] for one in state["calls"]} == {"newest"}


@pytest.mark.parametrize("change", [{"channels": "left"}, {"select": 3}, {"volume": "loud"}, "off", None])
def test_a_wrong_change_changes_nothing(speaker, change):
    speaker.on_control_request({"ask": "monitor", "change": change})
    assert speaker.mixer.override is None


def test_other_requests_are_for_others(speaker):
    with pytest.raises(LookupError):
        speaker.on_control_request({"ask": "captions"})
