"""The doctor's report on unusual calls."""

import json
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from nodes.doctor.remarks import remarks
from nodes.doctor.report import page
from nodes.doctor.websocket_examination import WebSocketExamination
from nodes.ringcx.call_sender import CallSender

END = {
    "by": "peer",
    "how": "peer_closed",
    "code": 1000,
    "seconds_after_last_message": 0.1,
    "seconds_after_last_stop": 0.1,
    "answers_pings": True,
    "pings": 0,
    "unusual_frames": {},
}


def examined(*messages: bytes, path: str = "/", **end: Any) -> dict[str, Any]:
    examination = WebSocketExamination(Request(path, Headers()), "192.0.2.1", 100.0, None)
    for number, message in enumerate(messages):
        examination.receive(message, 100.0 + number / 50)
    examination.end(END | end)
    return json.loads(json.dumps(examination.facts()))


def test_a_connection_without_messages_has_remarks_and_a_page() -> None:
    facts = examined()
    assert "no Start came: `ringcx` ignores audio before it" in remarks(facts)
    assert "no audio came" in remarks(facts)
    text = page([facts], [])
    assert "(nothing came)" in text
    assert "none came" in text
    assert "not searched for: set RINGCX_SECRET" in text


@pytest.mark.parametrize(
    ("end", "row"),
    [
        ({"how": "peer_lost", "code": None}, "lost"),
        ({"how": "peer_broke_protocol", "code": None}, "violated the protocol"),
        ({"by": "doctor", "code": 1000}, "by the doctor with 1000"),
        ({"seconds_after_last_stop": 9.0}, "(`ringcx` waits 5 s for that, then closes)"),
        ({"answers_pings": None}, "not tried: too short a call"),
        ({"unusual_frames": {"binary": 2}}, "binary × 2"),
    ],
)
def test_the_end_is_described(end: dict[str, Any], row: str) -> None:
    assert row in page([examined(CallSender({}).connected(), **end)], [])


@pytest.mark.parametrize(
    ("end", "remark"),
    [
        ({"how": "peer_lost"}, "the connection was lost, not closed"),
        ({"how": "interrupted"}, "this report covers the beginning of the call"),
    ],
)
def test_the_end_has_a_remark(end: dict[str, Any], remark: str) -> None:
    assert any(remark in found for found in remarks(examined(**end)))


def test_pauses_and_query_parameters_without_a_value_are_listed() -> None:
    sender = CallSender({"call_id": "1"})
    examination = WebSocketExamination(Request("/?lone&callId=1", Headers()), "192.0.2.1", 100.0, None)
    for at in (0.0, 0.02, 3.0, 3.02):
        examination.receive(sender.media("agent", bytes(160)), 100.0 + at)
    text = page([examination.facts()], [])
    assert "? (no name)" in text
    assert "pauses" in text
    assert "3.0 s" in text


def test_other_requests_follow_the_calls() -> None:
    assert page([], ["GET / from 192.0.2.1"]) == "Not a call\n  GET / from 192.0.2.1"
