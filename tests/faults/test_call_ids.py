"""Row 79 over both transports: calls without an id, with a call id twice, with too long attributes, or a forged id."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from flowcore import Text
from nodes.ringcx.call_attributes import MAX_FIELDS, MAX_TEXT
from tests.support.live import Live, until
from tests.support.phone import said, stereo
from tests.support.transports import TRANSPORTS, dial, hang_up
from tests.support.watching import shown, stage

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("transport", TRANSPORTS)]

UII = "202603020901250144700000000001"


def recording(folder, **options):
    return Live("record", [f"wav.path={folder}/{{call_id}}.wav"], **options)


def speak(phone, words):
    phone.say(phone.sender.media("agent", msgspec.json.encode(Text("agent", 0.0, 1.0, words, True, 0))))


def words(live, name, last="ready"):
    """What a page for this name shows: its state, and the texts."""
    state, texts = shown(live, name, last)
    return state, [text["text"] for text in texts]


@pytest.mark.fault(79)
def test_calls_without_any_id_are_recorded_whole_and_do_not_mix(tmp_path, transport):
    with recording(tmp_path, calls=2) as live:
        phones = [dial(transport, live.url, "", session_id="") for _ in range(2)]
        for number, phone in enumerate(phones):
            phone.talk(number, 0.3)
        until(lambda: len(live.named("flow_opened")) == 2)
        for phone in phones:
            hang_up(phone)
    heard = sorted(stereo(path).tobytes() for path in tmp_path.glob("*.wav"))
    assert heard == sorted(said(number, 0.3).tobytes() for number in range(2))


@pytest.mark.fault(79)
def test_pages_of_calls_without_any_id_do_not_mix(tmp_path, transport):
    with stage(tmp_path, calls=2) as live:
        phones = [dial(transport, live.url, "", session_id="") for _ in range(2)]
        for number, phone in enumerate(phones):
            speak(phone, f"call {number}")
        until(lambda: len(live.engine.flows) == 2)
        pages = [words(live, flow, "text")[1] for flow in tuple(live.engine.flows)]
        for phone in phones:
            hang_up(phone)
    assert sorted(pages) == [["call 0"], ["call 1"]]


@pytest.mark.fault(79)
def test_after_a_transfer_the_page_goes_on_and_each_session_has_its_recording(tmp_path, transport):
    with stage(tmp_path, calls=2) as live:
        first = dial(transport, live.url, UII, session_id="1")
        speak(first, "before")
        assert words(live, UII, "text")[1] == ["before"]
        hang_up(first)
        until(lambda: not live.engine.flows)
        second = dial(transport, live.url, UII, session_id="2")
        speak(second, "after")
        until(lambda: words(live, UII) == ("live", ["before", "after"]))
        hang_up(second)


@pytest.mark.fault(79)
def test_a_call_id_forged_by_another_account_shows_nothing_and_is_told(tmp_path, transport):
    with stage(tmp_path, calls=2) as live:
        ours = dial(transport, live.url, UII, account_id="ours", ani="5550100")
        speak(ours, "ours")
        assert words(live, UII, "text")[1] == ["ours"]
        forged = dial(transport, live.url, UII, account_id="theirs", session_id="2")
        speak(forged, "theirs")
        until(lambda: live.named("call_id_taken"))
        (flow,) = {event.flow for event in live.named("call_id_taken")}
        assert words(live, flow, "text")[1] == ["theirs"]
        for name in (UII, "5550100"):
            assert words(live, name)[1] == ["ours"]
        hang_up(forged)
        hang_up(ours)


@pytest.mark.fault(79)
def test_long_attributes_are_cut_and_counted_and_the_call_is_whole(tmp_path, transport):
    many = {f"k{number:02}": "x" * 1200 for number in range(MAX_FIELDS + 8)}  # a WebSocket's Start has 64 KiB
    many |= {"k00": "x" * 60_000} if transport == "grpc" else {}  # and DialogInit 128 KiB
    with recording(tmp_path, calls=1) as live:
        phone = dial(transport, live.url, UII, **many)
        phone.talk(7, 0.3)
        hang_up(phone)
    (recorded,) = tmp_path.glob("*.json")
    session = json.loads(recorded.read_text())["session"]
    assert session["call_id"] == UII
    assert sum(value == "x" * MAX_TEXT for value in session.values()) >= MAX_FIELDS - 2
    assert live.dropped()["attributes_cut"] >= MAX_FIELDS
    assert np.array_equal(stereo(tmp_path / f"{UII}.wav"), said(7, 0.3))
