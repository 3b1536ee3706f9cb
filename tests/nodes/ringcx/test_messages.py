"""The parser of RingCX messages."""

import base64
import json
import random
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore import BadMessage
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.messages import (
    Connected,
    EmptyMedia,
    Media,
    Start,
    Stop,
    Unknown,
    attributes,
    parse,
    parse_and_repair,
)

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


def test_attributes_get_our_names_and_unknown_ones_keep_theirs() -> None:
    said = {
        "EVAccountId": "9",
        "rc-office-account-id": "8",
        "agent_id": 7,
        "Colour": "red",
        "list": [1],
        "Dialog ID": "s-v-1",
    }
    known = attributes(said.items(), "query")
    assert known["account_id"] == "9"
    assert known["rc_account_id"] == "8"
    assert known["agent_id"] == "7"
    assert known["query.Colour"] == "red"
    assert known["dialog_id"] == "s-v-1"
    assert len(known) == 5


def test_attributes_can_be_written_down_whatever_bytes_they_were() -> None:
    known = attributes([("callId", "\udcff7"), ("\udcfe", "x")], "query")
    assert known == {"call_id": "?7", "query.?": "x"}


@pytest.mark.fault(22)
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
    ],
)
def test_bad_message_is_named(text: bytes, reason: str) -> None:
    with pytest.raises(BadMessage) as caught:
        parse(text)
    assert caught.value.reason == reason


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("text", "event", "repairs"),
    [
        (b'{"event":"Stop","duration":2,}', Stop(2.0), ["trailing_comma"]),
        (b'{"event":"Stop","metadata":{"duration":2 ,\n } , }', Stop(2.0), ["trailing_comma"]),
        (b'{"event":"Stop","duration":NaN}', Stop(None), ["not_a_number"]),
        (b'{"event":"Stop","duration":-Infinity,"x":[1,]}', Stop(None), ["not_a_number", "trailing_comma"]),
        (b'\xef\xbb\xbf{"event":"Stop"}', Stop(None), ["byte_order_mark"]),
        (MEDIA.replace(b"}", b",}"), Media("Participant", 1, b"\xff\xff"), ["trailing_comma"]),
        (START.replace(b'"audio/x-mulaw"', b"null"), Start({}, "", "8000"), ["empty_format"]),
        (START.replace(b"8000", b'""'), Start({}, "audio/x-mulaw", "8000"), ["empty_format"]),
        (START.replace(b"8000", b"NaN"), Start({}, "audio/x-mulaw", "8000"), ["not_a_number", "empty_format"]),
        (START.replace(b"8000", b"nan"), Start({}, "audio/x-mulaw", "8000"), ["not_a_number", "empty_format"]),
        (START.replace(b"}}", b',"agentId":1e999}}'), Start({}, "audio/x-mulaw", "8000"), ["not_a_number"]),
        (START.replace(b"8000", b"9" * 5000), Start({}, "audio/x-mulaw", "8000"), ["not_a_number", "empty_format"]),
        (START.replace(b"}}", b',"ani":"1\t2"}}'), Start({}, "audio/x-mulaw", "8000"), ["control_character"]),
        (START.replace(b"}}", b",,}}"), Start({}, "audio/x-mulaw", "8000"), ["trailing_comma"]),
        (START + b"\0", Start({}, "audio/x-mulaw", "8000"), ["trailing_nul"]),
        (MEDIA, Media("Participant", 1, b"\xff\xff"), []),
    ],
)
def test_a_message_that_is_almost_json_is_understood_and_its_errors_are_named(
    text: bytes, event: Any, repairs: list[str]
) -> None:
    parsed, named = parse_and_repair(text)
    assert list(named) == repairs
    if isinstance(event, Start):
        assert isinstance(parsed, Start)
        assert (parsed.attributes["call_id"], parsed.encoding, parsed.rate) == ("c1", event.encoding, event.rate)
    else:
        assert parsed == event


def test_a_repair_changes_no_string() -> None:
    parsed, _ = parse_and_repair(b'{"event":"Start","metadata":{"callId":"a,}NaN,]\\",","ani":"\xc3\xa9",}}')
    assert isinstance(parsed, Start)
    assert (parsed.attributes["call_id"], parsed.attributes["ani"]) == ('a,}NaN,]",', "é")


@pytest.mark.fault(21)
@pytest.mark.parametrize("piece", [b'"', b'\\"', b",", b", ", b"{,", b"NaN", b"-", b"  ", b"9", b"1e", b"\0", b'"\1"'])
def test_a_repair_takes_no_longer_than_a_message_is_long(piece: bytes) -> None:
    text = b"{" + piece * (60_000 // len(piece))
    began = time.process_time()
    with pytest.raises(BadMessage):
        parse(text)
    assert time.process_time() - began < 0.5  # quadratic it would be many seconds


def test_media_without_audio_is_an_event_of_its_own() -> None:
    assert parse(media(media="")) == EmptyMedia("Participant", 1)


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


@pytest.mark.fault(21)
@settings(max_examples=500)
@given(
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(NAMES, VALUES, max_size=6).map(lambda value: json.dumps(value).encode())
)
@pytest.mark.slow
def test_any_bytes_are_an_event_or_a_bad_message(text: bytes) -> None:
    try:
        event = parse(text)
    except BadMessage:
        return
    assert type(event) in (Connected, Start, Media, Stop, Unknown)


@pytest.mark.slow
@pytest.mark.fault(21)
def test_a_hundred_thousand_damaged_messages_are_events_or_bad_messages() -> None:
    rng = random.Random(7)
    said = [media(), START, STOP, b'{"event":"Connected"}', CallSender({"call_id": "c"}, "upper").media("agent", AUDIO)]
    reasons = set()
    for _ in range(100_000):
        text = bytearray(rng.choice(said))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text))
            text[at : at + rng.randint(0, 2)] = rng.choice(
                (rng.randbytes(1), b'"', b"{", b"]", b"\\u", b"9", b"e9", b"\xff")
            )
        try:
            parse(bytes(text))
        except BadMessage as bad:
            reasons.add(bad.reason)
    assert reasons >= {"not_json", "no_event", "wrong_perspective", "wrong_sequence", "wrong_base64"}
