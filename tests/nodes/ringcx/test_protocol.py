"""The RingCX parser and the state of a call, without a socket."""

import base64
import contextlib
import json
import random
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flowcore import BadMessage, Packet
from nodes.ringcx import protocol as ringcx
from nodes.ringcx.protocol import Broken, Call, Caller, Connected, Ignored, Media, Start, Stop, Unknown, parse

AUDIO = bytes(range(160))
START = b'{"event":"Start","metadata":{"callId":"c1","contentType":"audio/x-mulaw","sampleRateHertz":8000}}'
STOP = b'{"event":"Stop"}'
MEDIA = b'{"event":"Media","perspective":"Participant","sequenceId":"1","media":"//8="}'
GARBAGE = b"garbage"


def media(**fields: Any) -> bytes:
    message = {"event": "Media", "perspective": "Participant", "sequenceId": "1", "media": "//8="} | fields
    return json.dumps({key: value for key, value in message.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    "text",
    [
        b'{"event":"Media","perspective":"Conference","sequenceId":"7","media":"%s"}',
        b'{"event":"Media","perspective":"Conference","sequenceId":7,"media":"%s"}',
        b'{ "media" : "%s" , "sequenceId" : "7" , "event" : "Media" , "perspective" : "Conference" }',
        b'{"event":"MEDIA","perspective":"CONFERENCE","sequence_id":"7","media":"%s"}',
        b'{"EVENT":"media","Perspective":"conference","SequenceID":7,"Media":"%s","more":[1,{"x":null}]}',
    ],
)
def test_media_of_both_dialects_is_the_same(text: bytes) -> None:
    assert parse(text.replace(b"%s", base64.b64encode(AUDIO))) == Media("Conference", 7, AUDIO)


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
    started = Call().receive(json.dumps({"event": event, "metadata": metadata}).encode(), 0.0)
    assert isinstance(started, Start)
    assert (started.attributes["call_id"], started.attributes["session_id"]) == ("1", "2")


def test_attributes_get_our_names_and_unknown_ones_keep_theirs() -> None:
    said = {
        "EVAccountId": "9",
        "rc-office-account-id": "8",
        "agent_id": 7,
        "Colour": "red",
        "list": [1],
        "ani": "x" * 999,
    }
    known = ringcx.attributes(said.items(), "query")
    assert known["account_id"] == "9"
    assert known["rc_account_id"] == "8"
    assert known["agent_id"] == "7"
    assert known["query.Colour"] == "red"
    assert known["ani"] == "x" * 256
    assert len(known) == 5


def test_attributes_can_be_written_down_whatever_bytes_they_were() -> None:
    known = ringcx.attributes([("callId", "\udcff7"), ("\udcfe", "x")], "query")
    assert known == {"call_id": "?7", "query.?": "x"}


def test_a_flood_of_unknown_attributes_is_capped() -> None:
    assert len(ringcx.attributes(((f"k{n}", n) for n in range(10_000)), "query")) == ringcx.FIELD_LIMIT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not_json"),
        (b"garbage", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"event":"Media",}', "not_json"),
        (b'{"event":NaN}', "not_json"),
        (b'{"event":1e999}', "not_json"),
        (b'{"sequenceId":' + b"9" * 5000 + b"}", "not_json"),
        (b'"\xed\xa0\x80"', "not_json"),
        (b"[" * 60_000, "nested_too_deep"),
        (b'{"a":' * 10_000, "not_json" if sys.version_info >= (3, 14) else "nested_too_deep"),  # 3.14 nests deeper
        (b'{"event":"Media","x":' + b"[" * 50_000, "nested_too_deep"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "no_event"),
        (b'{"event":7}', "no_event"),
        (media(perspective="Nobody"), "wrong_perspective"),
        (media(perspective=None), "wrong_perspective"),
        (media(perspective=...), "wrong_perspective"),
        (media(sequenceId=-1), "wrong_sequence"),
        (media(sequenceId="-1"), "wrong_sequence"),
        (media(sequenceId="1_0"), "wrong_sequence"),
        (media(sequenceId="٣"), "wrong_sequence"),
        (media(sequenceId="9" * 5000), "wrong_sequence"),
        (media(sequenceId=True), "wrong_sequence"),
        (media(sequenceId=None), "wrong_sequence"),
        (media(sequenceId=...), "wrong_sequence"),
        (media(media="AA\0A!=A="), "wrong_base64"),
        (media(media="AAA"), "wrong_base64"),
        (media(media="A A="), "wrong_base64"),
        (media(media=5), "wrong_base64"),
        (media(media=None), "wrong_base64"),
        (media(media=...), "wrong_base64"),
        (media(media=""), "empty_media"),
    ],
)
def test_bad_message_is_named(text: bytes, reason: str) -> None:
    with pytest.raises(BadMessage) as caught:
        parse(text)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("said", "heard"), [("7.5", 7.5), ("7", 7.0), ("1" + "0" * 400, None), ('"7"', None)])
def test_duration_of_a_stop_is_a_number_of_this_world_or_none(said: str, heard: float | None) -> None:
    assert parse(b'{"event":"Stop","duration":%s}' % said.encode()) == Stop(heard)


def test_repeated_keys_take_the_last() -> None:
    assert parse(b'{"event":"Stop","event":"Connected"}') == Connected()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(["event", "EVENT", "perspective", "sequenceId", "sequence_id", "media", "metadata", "duration"])
VALUES = (
    st.sampled_from(["Media", "start", "STOP", "Connected", "Participant", "CONFERENCE", "1", 10**400, "//8=", "AAA"])
    | JSON
)


@settings(max_examples=500)
@given(
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(NAMES, VALUES, max_size=6).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_an_event_or_a_bad_message(text: bytes) -> None:
    try:
        event = parse(text)
    except BadMessage:
        return
    assert type(event) in (Connected, Start, Media, Stop, Unknown)


def test_a_hundred_thousand_damaged_messages_are_events_or_bad_messages() -> None:
    dice = random.Random(7)
    said = [media(), START, STOP, b'{"event":"Connected"}', Caller({"call_id": "c"}, "upper").media("agent", AUDIO)]
    reasons = set()
    for _ in range(100_000):
        text = bytearray(dice.choice(said))
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(len(text))
            text[at : at + dice.randint(0, 2)] = dice.choice(
                (dice.randbytes(1), b'"', b"{", b"]", b"\\u", b"9", b"e9", b"\xff")
            )
        try:
            parse(bytes(text))
        except BadMessage as bad:
            reasons.add(bad.reason)
    assert reasons >= {"not_json", "no_event", "wrong_perspective", "wrong_sequence", "wrong_base64"}


@settings(max_examples=300)
@given(st.data())
def test_one_changed_byte_never_breaks_more_than_its_message(data: st.DataObject) -> None:
    text = bytearray(media())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    call = Call()
    call.receive(START, 0.0)
    assert isinstance(call.receive(bytes(text), 0.0), (Packet, Ignored, Connected, Stop))
    assert isinstance(call.receive(MEDIA, 0.0), Packet)


@given(st.dictionaries(st.sampled_from(["call_id", "session_id", "ani"]), st.text(max_size=20)), st.binary(min_size=1))
@pytest.mark.parametrize("dialect", ["camel", "upper"])
@pytest.mark.parametrize("sequence", ["per_track", "shared"])
def test_what_a_caller_says_a_call_understands(sequence: Any, dialect: Any, said: dict[str, str], audio: bytes) -> None:
    caller, call = Caller(said, dialect, sequence), Call()
    assert call.receive(caller.connected(), 0.0) == Connected()
    started = call.receive(caller.start(), 0.0)
    assert isinstance(started, Start)
    assert {name: started.attributes[name] for name in said} == said
    numbers = (1, 1, 2) if sequence == "per_track" else (1, 2, 3)
    for track, number in zip(("agent", "customer", "agent"), numbers, strict=True):
        assert call.receive(caller.media(track, audio), 3.0) == Packet(track, number, audio, 3.0)
    assert call.receive(caller.stop(7, "2026-01-01T00:00:00Z"), 4.0) == Stop(7.0)
    assert call.announced == 7.0
    assert call.seconds == 2 * len(audio) / 8000


@pytest.mark.parametrize(
    "metadata",
    [
        {"contentType": "audio/x-mulaw", "sampleRateHertz": 16000},
        {"contentType": "audio/x-mulaw", "sampleRateHertz": "8k"},
        {"contentType": "audio/L16", "sampleRateHertz": 8000},
        {"encoding": "ALAW"},
        {"encoding": None},
    ],
)
def test_another_format_is_refused_and_never_played_at_a_wrong_speed(metadata: dict[str, Any]) -> None:
    with pytest.raises(Broken) as caught:
        Call().receive(json.dumps({"event": "Start", "metadata": metadata}).encode(), 0.0)
    assert (caught.value.code, caught.value.reason) == (1003, "unsupported_format")


def test_media_that_may_not_come_now_is_counted_with_its_length() -> None:
    call = Call()
    assert call.receive(MEDIA, 0.0) == Ignored("media_before_start", 2 / 8000)
    for message in (START, STOP, STOP):
        call.receive(message, 0.0)
    assert call.receive(MEDIA, 0.0) == Ignored("after_end", 2 / 8000)
    assert call.receive(START, 0.0) == Ignored("after_end")


@pytest.mark.parametrize(("each", "most"), [(1, 0), (2, 100), (15, 120)])
def test_peer_most_of_whose_messages_are_bad_is_sent_away(each: int, most: int) -> None:
    call = Call()
    call.receive(Caller({"call_id": "x"}).start(), 0.0)
    bad = 0
    with contextlib.suppress(Broken):
        for number in range(1000):
            for _ in range(each):
                bad += 1
                call.receive(GARBAGE, 0.0)
            call.receive(media(sequenceId=number), 0.0)
    assert bad <= most if most else bad == 1000


def test_second_stop_may_never_come_but_media_after_the_first_counts() -> None:
    call = Call()
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
        self.call = Call()
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
                with pytest.raises(Broken) as caught:
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


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=150, stateful_step_count=40)
