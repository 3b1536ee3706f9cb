"""Records of a live call's work: begun, read and ended while the call goes on, for ui.perfetto.dev."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from flowcore.control.work_records import MAX_RECORDS, UNREAD, WorkRecords
from tests.support.live import Live, until
from tests.support.perfetto import checked
from tests.support.phone import Phone, said, stereo

NUMBER = "+14155550142"


@pytest.fixture
def live(tmp_path):
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav"]) as running:
        yield running


def talking(live: Live, call: str) -> tuple[Phone, str]:
    phone = Phone(live.url, call, ani=NUMBER)
    phone.start()
    phone.talk(1, 0.2)
    until(lambda: any(flow.call_id == call for flow in tuple(live.engine.flows.values())))
    return phone, next(flow.id for flow in tuple(live.engine.flows.values()) if flow.call_id == call)


def observed(live: Live, flow: str) -> list[str]:
    """The nodes whose work takes a longer way than without a record."""
    runs = live.engine.flows[flow].runs
    return [name for name, run in runs.items() if run.node is not None and run.work != run.node.process]


def test_a_live_call_is_recorded_while_its_recording_stays_exact_and_its_nodes_are_bare_before_and_after(
    live, tmp_path
):
    records = WorkRecords(live.engine)
    phone, flow = talking(live, "one")
    other, bare = talking(live, "two")
    assert not observed(live, flow)
    token = records.answer({"flow": flow, "seconds": 60})["token"]
    until(lambda: len(observed(live, flow)) == 4)
    assert not observed(live, bare)
    phone.talk(2, 2.0)
    phone.say(phone.sender.media("agent", b"\xff" * 160, 9999))
    events = []

    def has_all() -> bool:
        events.extend(records.answer({"token": token})["events"])
        return {"ordered", "voices", "wav", "queue before wav", "queued before wav"} <= {
            each["name"] for each in events
        }

    until(has_all)
    for each in (phone, other):
        each.stop()
        each.hang_up()
    until(lambda: (tmp_path / "one.wav").exists())

    def done() -> bool:
        answer = records.answer({"token": token})
        events.extend(answer["events"])
        return bool(answer["done"])

    until(done)
    assert records.answer({"token": token}) is None
    checked(events)
    assert np.array_equal(stereo(tmp_path / "one.wav")[: 8000 // 5], said(1, 0.2))
    written = json.dumps(events)
    assert NUMBER[1:] not in written
    assert '"one"' not in written
    assert {each["args"]["name"] for each in events if each["name"] == "thread_name"} == {
        "call", "chain 0, the event loop: call, ordered, voices, voices~interleave", "chain 1, a thread: wav"
    }  # fmt: skip
    assert {each["name"] for each in events if each.get("cat") == "event"} >= {"flow_closed"}


def test_a_record_ends_with_its_time_and_without_a_reader(live):
    records = WorkRecords(live.engine)
    phone, flow = talking(live, "one")
    short = records.answer({"flow": flow, "seconds": 0.0})["token"]
    until(lambda: observed(live, flow))
    records.look(time.monotonic())
    until(lambda: not observed(live, flow))
    assert records.answer({"token": short})["done"]
    unread = records.answer({"flow": flow, "seconds": 60})["token"]
    until(lambda: observed(live, flow))
    records.look(time.monotonic() + UNREAD)
    assert records.answer({"token": unread}) is None
    until(lambda: not observed(live, flow))
    phone.hang_up()


def test_more_records_than_there_is_room_for_and_unknown_flows_are_refused(live):
    records = WorkRecords(live.engine)
    calls = [talking(live, f"c{number}") for number in range(MAX_RECORDS + 1)]
    answers = [records.answer({"flow": flow, "seconds": 60}) for _, flow in calls]
    assert ["token" in answer for answer in answers] == [True] * MAX_RECORDS + [False]
    assert "of 4 calls" in answers[-1]["error"]
    assert "recorded already" in records.answer({"flow": calls[0][1], "seconds": 60})["error"]
    assert records.answer({"flow": "unknown", "seconds": 60}) is None
    records.look(time.monotonic() + UNREAD)
    for phone, _ in calls:
        phone.hang_up()
