"""Captions of all workers are the same in each of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Gap
from nodes.captions.call_store import MAX_CAPTIONS
from tests.support.captioning import NOON, CaptionWorker, session, text

pytestmark = pytest.mark.slow

STEP = st.tuples(
    st.sampled_from(["begin", "say", "silence", "end", "pass on"]),
    st.integers(0, 2),
    st.integers(0, 3),
    st.text(max_size=3),
)


@given(st.lists(STEP, max_size=40), st.randoms(use_true_random=False))
def test_all_workers_know_the_same_in_the_end_also_one_that_came_late(steps, chance):
    workers = [CaptionWorker() for _ in range(3)]

    def pass_on() -> None:
        """What each told reaches all others, from one in order, from several in any."""
        while any(worker.told for worker in workers):
            number = chance.choice([number for number, worker in enumerate(workers) if worker.told])
            message = json.loads(workers[number].told.pop(0))
            for other, worker in enumerate(workers):
                if other != number:
                    worker.shared_calls.on_worker_message(number, message)

    begun: dict[tuple[int, int], bool] = {}
    for what, number, flow, words in steps:
        worker, name = workers[number], f"flow-{number}-{flow}"
        if what == "pass on":
            pass_on()
        elif what == "begin" and (number, flow) not in begun:
            begun[number, flow] = True
            worker.shared_calls.begin(session(f"call {flow}", name, NOON))
        elif what == "say" and begun.get((number, flow)):
            worker.shared_calls.add_text(name, text(len(words), words))
        elif what == "silence" and begun.get((number, flow)):
            stretches = [Gap("agent", float(at), at + 1.0, 1.0) for at in range(len(words))]
            worker.shared_calls.silence(name, frozenset({"agent"} if words else ()), stretches)
        elif what == "end" and begun.get((number, flow)):
            begun[number, flow] = False
            worker.shared_calls.end(name)
    pass_on()
    workers.append(CaptionWorker())
    workers[-1].shared_calls.ask()
    pass_on()
    for flow in range(4):
        first, *others = (worker.shown(f"call {flow}") for worker in workers)
        assert all(shown == first for shown in others)


def test_calls_of_a_worker_that_has_gone_have_ended():
    here, there = CaptionWorker(), CaptionWorker()
    there.shared_calls.begin(session("one", "theirs", NOON))
    there.shared_calls.add_text("theirs", text(0, "half a"))
    here.shared_calls.begin(session("two", "ours", NOON))
    for message in there.told:
        here.shared_calls.on_worker_message(2, json.loads(message))
    here.shared_calls.on_worker_exit(2)
    here.shared_calls.on_worker_exit(3)
    assert here.shown("one") == (
        {"call": "one", "state": "ended", "sessions": [0.0], "paused": False, "muted": []},
        [("theirs.agent.0", 0.0, "half a", True)],
    )
    assert here.calls.find("two").state == "live"


@pytest.mark.fault(60)
def test_captions_of_a_dead_workers_calls_remain_in_workers_that_start_later():
    here, there, third = CaptionWorker(), CaptionWorker(), CaptionWorker()
    there.shared_calls.begin(session("over", "first", NOON))
    there.shared_calls.add_text("first", text(0, "bye"))
    there.shared_calls.end("first")
    there.shared_calls.begin(session("cut", "second", NOON))
    for number in range(50):
        there.shared_calls.add_text("second", text(number, f"words {number}"))
    for survivor in (here, third):
        for message in there.told:
            survivor.shared_calls.on_worker_message(2, json.loads(message))
        survivor.shared_calls.on_worker_exit(2)
    late = CaptionWorker()
    for number, survivor in ((1, here), (3, third)):
        survivor.shared_calls.on_worker_message(4, ["ask"])
        for message in survivor.told:
            late.shared_calls.on_worker_message(number, json.loads(message))
    for call in ("over", "cut"):
        assert late.shown(call) == here.shown(call)
        assert late.shown(call)[0]["state"] == "ended"
    assert late.lines("cut") == [f"words {number}" for number in range(50)]


def test_what_all_survivors_tell_of_a_dead_worker_changes_no_page_that_has_it():
    here, there = CaptionWorker(), CaptionWorker()
    there.shared_calls.begin(session("one", "flow", NOON))
    there.shared_calls.add_text("flow", text(0, "bye"))
    for message in there.told:
        here.shared_calls.on_worker_message(2, json.loads(message))
    here.shared_calls.on_worker_exit(2)
    revision = here.calls.find("one").revision
    here.shared_calls.on_worker_message(4, ["ask"])
    for message in list(here.told):
        here.shared_calls.on_worker_message(3, json.loads(message))
    assert here.calls.find("one").revision == revision


def test_a_long_history_is_told_in_pieces():
    worker = CaptionWorker()
    worker.shared_calls.begin(session("one", "flow", NOON))
    for number in range(MAX_CAPTIONS):
        worker.shared_calls.add_text("flow", text(number, "x" * 5000))
    worker.told.clear()
    worker.shared_calls.on_worker_message(2, ["ask"])
    assert len(worker.told) == 1 + MAX_CAPTIONS / 20
    assert max(map(len, worker.told)) < 50_000


def test_what_comes_of_an_unknown_call_harms_nothing():
    worker = CaptionWorker()
    worker.shared_calls.end("never")
    worker.shared_calls.on_worker_message(2, ["put", "never", [["id", "agent", 0.0, 1.0, "x", True, ""]]])
    worker.shared_calls.on_worker_message(2, ["end", "never", "flow"])
    assert worker.calls.find("never") is None
    assert worker.calls.find("") is None
