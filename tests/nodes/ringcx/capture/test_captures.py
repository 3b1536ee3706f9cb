"""Captures over real sockets and both transports: one call of many, joined or awaited, played to the same bytes."""

from __future__ import annotations

import stat
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from nodes.ringcx.call_recording import Closed, Message, Opened
from tests.support.captured_calls import Calls, played, records
from tests.support.live import until
from tests.support.phone import Phone, said, stereo
from tests.support.phone_grpc import GrpcPhone

pytestmark = pytest.mark.slow

SECRET = "planted-secret-9f"


@pytest.fixture(params=["websocket", "grpc"])
def calls(request, tmp_path) -> Callable[..., Calls]:
    return lambda **capture: Calls(tmp_path, request.param, **capture)


@pytest.mark.slow
def test_one_call_of_twenty_is_captured_and_plays_twice_to_the_bytes_of_its_recording(calls, tmp_path):
    with calls() as running:
        assert running.ask(do="next", name="w", source="+1 (415) 555-0107", within=60) == {"waiting": 1}
        phones = {f"c{number}": running.phone(f"c{number}", ani=f"+14155550{number + 100}") for number in range(20)}
        for number, phone in enumerate(phones.values()):
            phone.talk(number, 2.0)
        for call, phone in phones.items():
            running.hang_up(phone, call)
    (capture,) = running.captures()
    assert capture.name == "c7.capture"
    assert stat.S_IMODE(capture.stat().st_mode) == 0o600
    heard = running.wav("c7").read_bytes()
    assert np.array_equal(stereo(running.wav("c7")), said(7, 2.0))
    for again in ("one", "two"):
        result, wav = played(capture, tmp_path / again)
        assert wav.read_bytes() == heard
        assert [flow.reason for flow in result.flows] == ["stop"]
    (opened,), (closed,) = running.live.named("capture_opened"), running.live.named("capture_closed")
    assert opened.flow == closed.flow
    assert (closed.data["reason"], closed.data["path"]) == ("complete", str(capture))


def test_a_live_call_is_captured_from_now_on_and_plays_as_a_call(calls, tmp_path):
    with calls() as running:
        phone, other = running.phone("one"), running.phone("two")
        for each in (phone, other):
            each.talk(1, 1.0)
        until(lambda: running.running("one") and running.running("two"))
        answer = running.ask(do="begin", call_id="one")
        assert answer == {"paths": [f"{tmp_path}/captures/one.capture"]}
        assert running.ask(do="begin", call_id="one") == answer
        assert running.ask(do="begin", call_id="three") is None
        for each in (phone, other):
            each.talk(2, 1.0)
        running.hang_up(phone, "one")
        running.hang_up(other, "two")
    (capture,) = running.captures()
    opened = records(capture)[0]
    assert isinstance(opened, Opened)
    assert opened.joined > 0
    result, wav = played(capture, tmp_path / "again")
    assert wav.name == "one.wav"
    assert [flow.reason for flow in result.flows] == ["stop"]


def test_nothing_is_captured_unless_asked_for(calls):
    with calls() as running:
        running.ask(do="next", name="w", source="", within=60)
        assert running.ask(do="forget") == {"waiting": 1}
        running.ask(do="next", name="w", source="", within=0)
        phone = running.phone("one")
        phone.talk(1, 0.2)
        running.hang_up(phone, "one")
    assert running.captures() == []


@pytest.mark.parametrize(
    "request_",
    [{}, {"do": "all"}, {"do": "next"}, *({"do": "next", "name": "w", "within": each} for each in (-1, "1h", 1e9))],
)
def test_a_wrong_request_is_answered_and_costs_no_call_anything(calls, request_):
    with calls() as running:
        phone = running.phone("one")
        phone.talk(1, 0.2)
        until(lambda: running.running("one"))
        assert "error" in running.ask(**request_)
        running.hang_up(phone, "one")
    assert running.captures() == []


def test_captures_that_the_graph_forbids_are_refused(calls):
    with calls(calls="none") as running:
        assert "allows no captures" in running.ask(do="next", name="w", within=60)["error"]


def test_a_stopped_capture_ends_and_its_call_goes_on(calls, tmp_path):
    with calls(calls="all") as running:
        phone = running.phone("one")
        phone.talk(1, 1.0)
        until(lambda: running.running("one"))
        assert running.ask(do="stop", call_id="one") == {"paths": [f"{tmp_path}/captures/one.capture"]}
        assert running.ask(do="stop", call_id="one") == {"paths": []}
        phone.talk(2, 1.0)
        running.hang_up(phone, "one")
    assert records(running.captures()[0])[-1].reason == "capture_ended"
    assert [event.data["reason"] for event in running.live.named("capture_closed")] == ["stopped"]
    assert len(stereo(running.wav("one"))) > 8000


def test_a_capture_ends_at_its_size_and_the_call_goes_on(calls):
    with calls(calls="all", max="8KiB") as running:
        phone = running.phone("one")
        phone.talk(1, 3.0)
        running.hang_up(phone, "one")
        until(lambda: running.live.named("capture_closed"))
    assert np.array_equal(stereo(running.wav("one")), said(1, 3.0))
    assert running.captures()[0].exists()


def test_a_paused_call_is_silent_in_its_capture(calls, tmp_path):
    with calls(calls="all") as running:
        phone = running.phone("one")
        phone.talk(1, 0.2)
        until(lambda: running.running("one"))
        flow = next(iter(running.live.engine.flows.values()))
        running.live.call(lambda: running.live.engine.silenced.set("one", flow.silencing, True, frozenset()))
        phone.talk(2, 1.0)
        running.hang_up(phone, "one")
    (capture,) = running.captures()
    _, wav = played(capture, tmp_path / "again")
    assert wav.read_bytes() == running.wav("one").read_bytes()
    assert not stereo(wav)[8000 // 4 :].any()


@pytest.mark.parametrize("place", ["header", "start", "later"])
def test_no_secret_is_in_a_capture_wherever_it_came(tmp_path, place):
    with Calls(tmp_path, "websocket", calls="all") as running:
        headers = f"Authorization: Bearer {SECRET}\r\n" if place == "header" else ""
        phone = Phone(f"{running.live.url}?token={SECRET}&callId=one", "one", headers=headers)
        start = msgspec.json.decode(phone.sender.start())
        start["metadata"]["secret"] = SECRET
        start["metadata"]["note"] = {"accessToken": [SECRET]}
        phone.say(phone.sender.connected(), msgspec.json.encode(start))
        if place == "later":
            phone.say(b'{"event":"Weather","api_token":"' + SECRET.encode() + b'"')  # no JSON
        phone.talk(1, 0.2)
        running.hang_up(phone, "one")
    (capture,) = running.captures()
    assert SECRET.encode() not in capture.read_bytes()
    assert b"one" in capture.read_bytes()


def test_no_secret_of_a_grpc_call_is_in_its_capture(tmp_path):
    with Calls(tmp_path, "grpc", calls="all") as running:
        phone = GrpcPhone(running.live.url, "one", metadata=(("authorization", f"Bearer {SECRET}"),))
        phone.start()
        phone.talk(1, 0.2)
        running.hang_up(phone, "one")
    (capture,) = running.captures()
    assert SECRET.encode() not in capture.read_bytes()
    assert ("authorization", "***") in records(capture)[0].headers


def test_messages_without_a_secret_are_written_byte_for_byte(tmp_path):
    odd = [b'{"event" : "Weather",\t"n":1e999, "x":"\\u0041"}', b"no JSON {", b'{"event":"Stop","duration":NaN,}']
    with Calls(tmp_path, "websocket", calls="all") as running:
        phone = running.phone("one")
        phone.say(*odd)
        phone.talk(1, 0.2)
        running.hang_up(phone, "one")
    texts = [record.text.encode() for record in records(running.captures()[0]) if isinstance(record, Message)]
    assert texts[2:5] == odd
    assert texts[:2] == [phone.sender.connected(), phone.sender.start()]


def test_a_connection_that_never_becomes_a_call_is_captured_with_all_others(tmp_path):
    with Calls(tmp_path, "websocket", calls="all") as running:
        phone = Phone(running.live.url)
        phone.say(*[b"hello"] * 16)
        phone.hang_up()
        until(lambda: running.live.named("capture_closed"))
    (capture,) = running.captures()
    closed = records(capture)[-1]
    assert isinstance(closed, Closed)
    assert closed.answer.startswith("1008 ")
    assert sum(isinstance(record, Message) for record in records(capture)) == 16
