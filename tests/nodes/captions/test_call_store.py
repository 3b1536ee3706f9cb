"""Stored calls: revisions, sessions of one call, and what is dropped."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.captions.call_store import MAX_CAPTIONS, MAX_ENDED_CALLS
from tests.support.captioning import NOON, CaptionWorker, session, text

pytestmark = pytest.mark.slow

SAID = st.tuples(st.sampled_from(["agent", "customer"]), st.integers(0, 9), st.text(max_size=5), st.booleans())


@given(st.lists(st.one_of(SAID, st.none()), max_size=60))
def test_whoever_looks_now_and_then_knows_in_the_end_what_was_said_last_of_each_utterance(steps):
    worker = CaptionWorker()
    worker.shared_calls.begin(session("one", "flow", NOON))
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


def test_a_session_that_follows_goes_on_where_the_call_is():
    worker = CaptionWorker()
    worker.shared_calls.begin(session("One", "first", NOON))
    worker.shared_calls.add_text("first", text(0, "hello", start=2.0))
    worker.shared_calls.end("first")
    worker.shared_calls.begin(session(" one", "second", NOON + timedelta(seconds=7.5)))
    worker.shared_calls.add_text("second", text(0, "again", start=1.0))
    assert worker.shown("one") == (
        {"call": "one", "state": "live", "sessions": [0.0, 7.5], "paused": False, "muted": []},
        [("first.agent.0", 2.0, "hello", True), ("second.agent.0", 8.5, "again", True)],
    )
    worker.shared_calls.end("second")
    worker.shared_calls.begin(session("one", "second", NOON + timedelta(seconds=9)))  # a node that was restarted
    worker.shared_calls.add_text("second", text(1, "and again", start=2.0))
    assert worker.shown("one")[1][2] == ("second.agent.1", 9.5, "and again", True)
    worker.shared_calls.end("second")
    assert worker.shown("one")[0]["state"] == "ended"


def test_sessions_at_the_same_time_are_one_call_until_the_last_has_ended():
    worker = CaptionWorker()
    for flow in ("first", "second"):
        worker.shared_calls.begin(session("one", flow, NOON))
    worker.shared_calls.end("first")
    assert worker.calls.find("one").state == "live"
    worker.shared_calls.end("second")
    assert worker.calls.find("one").state == "ended"


def test_a_session_that_two_nodes_write_ends_with_the_last_of_them():
    worker = CaptionWorker()
    for _ in range(2):
        worker.shared_calls.begin(session("one", "flow", NOON))
    worker.shared_calls.end("flow")
    worker.shared_calls.add_text("flow", text(0, "the last words"))
    assert worker.shown("one")[0]["state"] == "live"
    worker.shared_calls.end("flow")
    assert worker.shown("one")[0]["state"] == "ended"
    assert worker.lines() == ["the last words"]


def test_an_ended_call_stays_for_its_time_and_a_live_one_for_ever():
    worker = CaptionWorker(keep=60)
    worker.shared_calls.begin(session("over", "a", NOON))
    worker.shared_calls.begin(session("live", "b", NOON))
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
    worker = CaptionWorker(keep=1e9)
    for number in range(MAX_ENDED_CALLS + 10):
        worker.shared_calls.begin(session(f"call {number}", f"flow {number}", NOON))
        worker.shared_calls.end(f"flow {number}")
    assert [worker.calls.find(f"call {number}") is None for number in range(12)] == [True] * 10 + [False] * 2
    worker.shared_calls.begin(session("one", "flow", NOON))
    pushed_out = [worker.shared_calls.add_text("flow", text(number, str(number))) for number in range(MAX_CAPTIONS + 5)]
    assert sum(pushed_out) == 5
    assert worker.lines() == [str(number) for number in range(5, MAX_CAPTIONS + 5)]
    assert worker.shared_calls.add_text("flow", text(MAX_CAPTIONS + 4, "the same one")) == 0


@pytest.mark.parametrize("name", ["u1", "s-v-1", "12223334444"])
def test_a_call_is_found_by_any_of_its_ids(name):
    worker = CaptionWorker()
    worker.shared_calls.begin(session("U1", "flow", NOON, ("s-v-1", "+1 222 333-4444")))
    worker.shared_calls.add_text("flow", text(0, "hello"))
    assert worker.lines(name) == ["hello"]
    worker.shared_calls.end("flow")
    worker.now += 61
    worker.calls.drop_ended(worker.now)
    assert worker.calls.find(name) is None


def test_an_id_of_two_calls_is_ambiguous_until_one_is_dropped():
    worker = CaptionWorker()
    worker.shared_calls.begin(session("u1", "first", NOON, ("555",)))
    worker.shared_calls.begin(session("u2", "second", NOON, ("555",)))
    assert worker.calls.find("555") is None
    assert worker.calls.is_ambiguous("555")
    worker.shared_calls.end("first")
    worker.now += 61
    worker.calls.drop_ended(worker.now)
    assert worker.calls.find("555").id == "u2"
    assert not worker.calls.is_ambiguous("555")


def test_a_call_id_forged_by_another_account_shows_nothing_of_the_call():
    worker = CaptionWorker()
    worker.shared_calls.begin(session("u1", "ours", NOON, account="a"))
    worker.shared_calls.begin(session("u1", "theirs", NOON, account="b"))
    worker.shared_calls.add_text("ours", text(0, "ours"))
    worker.shared_calls.add_text("theirs", text(0, "theirs"))
    assert worker.lines("u1") == ["ours"]
    assert worker.lines("theirs") == ["theirs"]
