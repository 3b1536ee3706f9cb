"""The state of a RingCX call, without a socket."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flowcore import Packet
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.call_state import CallState, Ignored, ProtocolError, Repaired
from nodes.ringcx.messages import Connected, Start, Stop

START = b'{"event":"Start","metadata":{"callId":"c1","contentType":"audio/x-mulaw","sampleRateHertz":8000}}'
STOP = b'{"event":"Stop"}'
MEDIA = b'{"event":"Media","perspective":"Participant","sequenceId":"1","media":"//8="}'
GARBAGE = b"garbage"


def media(**fields: Any) -> bytes:
    message = {"event": "Media", "perspective": "Participant", "sequenceId": "1", "media": "//8="} | fields
    return json.dumps({key: value for key, value in message.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    "metadata",
    [
        {"callId": "1", "sessionId": 2, "contentType": "audio/x-mulaw", "sampleRateHertz": 8000},
        {"callId": "1", "sessionId": 2, "audioContentType": "audio/x-mulaw", "sampleRateHertz": 8000},
        {"call_id": "1", "session_id": 2, "encoding": "MULAW", "sample_rate_hertz": 8000},
        {"uii": "1", "SESSIONID": "2"},
    ],
)
@pytest.mark.parametrize("event", ["Start", "START"])
def test_start_of_both_dialects_opens_the_call(event: str, metadata: dict[str, Any]) -> None:
    started = CallState().receive(json.dumps({"event": event, "metadata": metadata}).encode(), 0.0)
    assert isinstance(started, Start)
    assert (started.attributes["call_id"], started.attributes["session_id"]) == ("1", "2")


@settings(max_examples=300)
@given(st.data())
def test_one_changed_byte_never_breaks_more_than_its_message(data: st.DataObject) -> None:
    text = bytearray(media())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    call = CallState()
    call.receive(START, 0.0)
    assert isinstance(call.receive(bytes(text), 0.0), (Packet, Ignored, Connected, Stop, Repaired))
    assert isinstance(call.receive(MEDIA, 0.0), Packet)


@pytest.mark.parametrize(
    "metadata",
    [
        {"contentType": "audio/x-mulaw", "sampleRateHertz": 16000},
        {"contentType": "audio/x-mulaw", "sampleRateHertz": "8k"},
        {"contentType": "audio/L16", "sampleRateHertz": 8000},
        {"encoding": "ALAW"},
    ],
)
def test_another_format_is_refused_and_never_played_at_a_wrong_speed(metadata: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        CallState().receive(json.dumps({"event": "Start", "metadata": metadata}).encode(), 0.0)
    assert (caught.value.code, caught.value.reason) == (1003, "unsupported_format")


def test_media_that_may_not_come_now_is_counted_with_its_length() -> None:
    call = CallState()
    assert call.receive(MEDIA, 0.0) == Ignored("media_before_start", 2 / 8000)
    for message in (START, STOP, STOP):
        call.receive(message, 0.0)
    assert call.receive(MEDIA, 0.0) == Ignored("after_end", 2 / 8000)
    assert call.receive(START, 0.0) == Ignored("after_end")


@pytest.mark.fault(22)
@pytest.mark.parametrize(("each", "most"), [(1, 0), (2, 100), (15, 120)])
def test_peer_most_of_whose_messages_are_bad_is_sent_away(each: int, most: int) -> None:
    call = CallState()
    call.receive(CallSender({"call_id": "x"}).start(), 0.0)
    bad = 0
    with contextlib.suppress(ProtocolError):
        for number in range(1000):
            for _ in range(each):
                bad += 1
                call.receive(GARBAGE, 0.0)
            call.receive(media(sequenceId=number), 0.0)
    assert bad <= most if most else bad == 1000


def test_second_stop_may_never_come_but_media_after_the_first_counts() -> None:
    call = CallState()
    call.receive(START, 0.0)
    call.receive(STOP, 10.0)
    assert call.poll(11.9) == "stopping"
    assert isinstance(call.receive(MEDIA, 11.9), Packet)
    assert call.poll(13.8) == "stopping"
    assert call.poll(13.9) == "ended"


class Conversation(RuleBasedStateMachine):
    """Walks a call in any order and compares it with a model that counts Starts and Stops."""

    @initialize()
    def connect(self) -> None:
        self.call = CallState()
        self.now = 0.0
        self.started = self.ended = self.broken = False
        self.stops = self.bad = self.bad_in_all = self.good = 0
        self.heard = 0.0

    def say(self, text: bytes) -> Any:
        if self.broken:
            return None
        self.bad = 0
        self.good += 1
        return self.call.receive(text, self.now)

    @rule()
    def connected(self) -> None:
        said = self.say(b'{"event":"Connected"}')
        if not self.broken:
            assert isinstance(said, Ignored) == self.started

    @rule()
    def start(self) -> None:
        said = self.say(START)
        if not self.broken:
            assert isinstance(said, Ignored) == self.started
            self.started = True

    @rule()
    def media(self) -> None:
        said = self.say(MEDIA)
        if not self.broken:
            taken = self.started and not self.ended
            assert isinstance(said, Packet) == taken
            self.heard = self.now if taken else self.heard

    @rule()
    def stop(self) -> None:
        said = self.say(STOP)
        if not self.broken:
            taken = self.started and not self.ended
            assert isinstance(said, Stop) == taken
            self.stops += taken
            self.heard = self.now if taken else self.heard
            self.ended = self.ended or self.stops == 2

    @rule()
    def unknown(self) -> None:
        assert self.broken or isinstance(self.say(b'{"event":"Hold"}'), Ignored)

    @rule(times=st.integers(1, 6))
    def garbage(self, times: int) -> None:
        for _ in range(times):
            if self.broken:
                return
            self.bad += 1
            self.bad_in_all += 1
            if self.bad == 16 or self.bad_in_all >= max(100, self.good + 1):
                with pytest.raises(ProtocolError) as caught:
                    self.call.receive(GARBAGE, self.now)
                assert caught.value.code == 1008
                self.broken = True
            else:
                assert self.call.receive(GARBAGE, self.now) == Ignored("bad_message:not_json")

    @rule(seconds=st.sampled_from([0.25, 1.0, 2.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.ended = self.ended or (self.stops == 1 and self.now - self.heard >= 2.0)
        self.call.poll(self.now)

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "call"):
            return
        expected = "ended" if self.ended else "stopping" if self.stops else "open" if self.started else "waiting"
        assert self.call.poll(self.now) == expected


TestConversation = pytest.mark.slow(pytest.mark.fault(23)(Conversation.TestCase))
TestConversation.settings = settings(max_examples=150, stateful_step_count=40)
