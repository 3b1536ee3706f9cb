"""A viewer that looks whenever it likes ends up with what was said, whichever worker it was said in."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Text
from nodes.captions.call_store import MAX_CAPTIONS, MAX_ENDED_CALLS, CallStore, normalize_call_id
from nodes.captions.shared_calls import SharedCalls

pytestmark = pytest.mark.slow

NOON = datetime(2026, 1, 2, 12)


def text(utterance: int, words: str, *, final: bool = True, start: float = 0.0, track: str = "agent") -> Text:
    return Text(track, start, start + 1, words, final, utterance)


class Worker:
    """One process's calls, in a time that the test decides; what it tells waits in ``told``."""

    def __init__(self, keep: float = 60) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.calls = CallStore(keep)
        self.shared_calls = SharedCalls(
            self.calls, lambda: self.now, lambda message: self.told.append(json.dumps(message))
        )

    def shown(self, call: str) -> tuple[object, list[tuple[str, float, str, bool]]] | None:
        found = self.calls.find(call)
        if found is None:
            return None
        state, lines = self.calls.changes(found, 0)
        return state, sorted((line.id, line.start, line.text, line.final) for _, line in lines)

    def lines(self, call: str = "one") -> list[str]:
        found = self.calls.find(call)
        assert found is not None
        return [line.text for _, line in self.calls.changes(found, 0)[1]]


SAID = st.tuples(st.sampled_from(["agent", "customer"]), st.integers(0, 9), st.text(max_size=5), st.booleans())


@given(st.lists(st.one_of(SAID, st.none()), max_size=60))
def test_whoever_looks_now_and_then_knows_in_the_end_what_was_said_last_of_each_utterance(steps):
    worker = Worker()
    worker.shared_calls.begin("one", "flow", NOON)
    truth, known, seen = {}, {}, 0
    call = worker.calls.find("one")
    for step in [*steps, None]:
        if step is not None:
            track, utterance, words, final = step
            worker.shared_calls.add_text("flow", text(utterance, words, final=final, track=track))
            truth[f"flow.{track}.{utterance}"] = (words, final)
            continue
        for revision, line in worker.calls.changes(call, seen)[1]:
            assert revision > seen
            seen = revision
            known[line.id] = (line.text, line.final)
    assert known == truth


STEP = st.tuples(
    st.sampled_from(["begin", "say", "end", "pass on"]), st.integers(0, 2), st.integers(0, 3), st.text(max_size=3)
)


@given(st.lists(STEP, max_size=40), st.randoms(use_true_random=False))
def test_all_workers_know_the_same_in_the_end_also_one_that_came_late(steps, chance):
    workers = [Worker() for _ in range(3)]

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
            worker.shared_calls.begin(f"call {flow}", name, NOON)
        elif what == "say" and begun.get((number, flow)):
            worker.shared_calls.add_text(name, text(len(words), words))
        elif what == "end" and begun.get((number, flow)):
            begun[number, flow] = False
            worker.shared_calls.end(name)
    pass_on()
    workers.append(Worker())
    workers[-1].shared_calls.ask()
    pass_on()
    for flow in range(4):
        first, *others = (worker.shown(f"call {flow}") for worker in workers)
        assert all(shown == first for shown in others)


def test_calls_of_a_worker_that_has_gone_have_ended():
    here, there = Worker(), Worker()
    there.shared_calls.begin("one", "theirs", NOON)
    there.shared_calls.add_text("theirs", text(0, "half a"))
    here.shared_calls.begin("two", "ours", NOON)
    for message in there.told:
        here.shared_calls.on_worker_message(2, json.loads(message))
    here.shared_calls.on_worker_exit(2)
    here.shared_calls.on_worker_exit(3)
    assert here.shown("one") == (
        {"call": "one", "state": "ended", "sessions": [0.0]},
        [("theirs.agent.0", 0.0, "half a", True)],
    )
    assert here.calls.find("two").state == "live"


def test_a_long_history_is_told_in_pieces():
    worker = Worker()
    worker.shared_calls.begin("one", "flow", NOON)
    for number in range(MAX_CAPTIONS):
        worker.shared_calls.add_text("flow", text(number, "x" * 5000))
    worker.told.clear()
    worker.shared_calls.on_worker_message(2, ["ask"])
    assert len(worker.told) == 1 + MAX_CAPTIONS / 20
    assert max(map(len, worker.told)) < 50_000


def test_a_session_that_follows_goes_on_where_the_call_is():
    worker = Worker()
    worker.shared_calls.begin("One", "first", NOON)
    worker.shared_calls.add_text("first", text(0, "hello", start=2.0))
    worker.shared_calls.end("first")
    worker.shared_calls.begin(" one", "second", NOON + timedelta(seconds=7.5))
    worker.shared_calls.add_text("second", text(0, "again", start=1.0))
    assert worker.shown("one") == (
        {"call": "one", "state": "live", "sessions": [0.0, 7.5]},
        [("first.agent.0", 2.0, "hello", True), ("second.agent.0", 8.5, "again", True)],
    )
    worker.shared_calls.begin("one", "second", NOON + timedelta(seconds=9))  # a node that was restarted
    worker.shared_calls.add_text("second", text(1, "and again", start=2.0))
    assert worker.shown("one")[1][2] == ("second.agent.1", 9.5, "and again", True)
    worker.shared_calls.end("second")
    assert worker.shown("one")[0]["state"] == "ended"


def test_sessions_at_the_same_time_are_one_call_until_the_last_has_ended():
    worker = Worker()
    for flow in ("first", "second"):
        worker.shared_calls.begin("one", flow, NOON)
    worker.shared_calls.end("first")
    assert worker.calls.find("one").state == "live"
    worker.shared_calls.end("second")
    assert worker.calls.find("one").state == "ended"


def test_an_ended_call_stays_for_its_time_and_a_live_one_for_ever():
    worker = Worker(keep=60)
    worker.shared_calls.begin("over", "a", NOON)
    worker.shared_calls.begin("live", "b", NOON)
    worker.shared_calls.add_text("a", text(0, "bye"))
    worker.now = 10
    worker.shared_calls.end("a")
    worker.calls.drop_ended(69)
    assert worker.lines("over") == ["bye"]
    worker.calls.drop_ended(70)
    assert worker.calls.find("over") is None
    worker.calls.drop_ended(1e9)
    assert worker.calls.find("live") is not None


def test_calls_and_lines_are_bounded_and_the_oldest_go():
    worker = Worker(keep=1e9)
    for number in range(MAX_ENDED_CALLS + 10):
        worker.shared_calls.begin(f"call {number}", f"flow {number}", NOON)
        worker.shared_calls.end(f"flow {number}")
    assert [worker.calls.find(f"call {number}") is None for number in range(12)] == [True] * 10 + [False] * 2
    worker.shared_calls.begin("one", "flow", NOON)
    pushed_out = [worker.shared_calls.add_text("flow", text(number, str(number))) for number in range(MAX_CAPTIONS + 5)]
    assert sum(pushed_out) == 5
    assert worker.lines() == [str(number) for number in range(5, MAX_CAPTIONS + 5)]
    assert worker.shared_calls.add_text("flow", text(MAX_CAPTIONS + 4, "the same one")) == 0


def test_what_comes_of_an_unknown_call_harms_nothing():
    worker = Worker()
    worker.shared_calls.end("never")
    worker.shared_calls.on_worker_message(2, ["put", "never", [["id", "agent", 0.0, 1.0, "x", True, ""]]])
    worker.shared_calls.on_worker_message(2, ["end", "never", "flow"])
    assert worker.calls.find("never") is None
    assert worker.calls.find("") is None


def test_an_id_is_known_by_what_counts():
    assert normalize_call_id(" 2026AB\n") == normalize_call_id("2026ab") == "2026ab"
    assert len(normalize_call_id("x" * 10_000)) == 256
