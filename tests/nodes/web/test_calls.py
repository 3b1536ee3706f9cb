"""A viewer that looks whenever it likes ends up with what was said."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from flowcore import Text
from nodes.web.calls import ENDED, LINES, Calls, normal

NOON = datetime(2026, 1, 2, 12)


def text(utterance: int, words: str, *, final: bool = True, start: float = 0.0, track: str = "agent") -> Text:
    return Text(track, start, start + 1, words, final, utterance)


def lines(calls: Calls, call: str = "one") -> list[str]:
    found = calls.find(call)
    assert found is not None
    return [line.text for _, line in calls.changes(found, 0)[1]]


SAID = st.tuples(st.sampled_from(["agent", "customer"]), st.integers(0, 9), st.text(max_size=5), st.booleans())


@given(st.lists(st.one_of(SAID, st.none()), max_size=60))
def test_whoever_looks_now_and_then_knows_in_the_end_what_was_said_last_of_each_utterance(steps):
    calls = Calls(keep=60)
    calls.join("one", "flow", NOON, 0)
    truth, known, seen = {}, {}, 0
    call = calls.find("one")
    for step in [*steps, None]:
        if step is not None:
            track, utterance, words, final = step
            calls.say("one", "flow", text(utterance, words, final=final, track=track))
            truth[f"flow.{track}.{utterance}"] = (words, final)
            continue
        for revision, line in calls.changes(call, seen)[1]:
            assert revision > seen
            seen = revision
            known[line.id] = (line.text, line.final)
    assert known == truth


def test_a_session_that_follows_goes_on_where_the_call_is():
    calls = Calls(keep=60)
    calls.join("One", "first", NOON, 0)
    calls.say("One", "first", text(0, "hello", start=2.0))
    calls.leave("One", "first", 5)
    calls.join(" one", "second", NOON + timedelta(seconds=7.5), 7.5)
    calls.say("one", "second", text(0, "again", start=1.0))
    call = calls.find("one")
    state, changed = calls.changes(call, 0)
    assert state == {"call": "one", "state": "live", "sessions": [0.0, 7.5]}
    assert [(line.start, line.end, line.text) for _, line in changed] == [(2.0, 3.0, "hello"), (8.5, 9.5, "again")]
    calls.leave("one", "second", 9)
    assert calls.changes(call, 0)[0]["state"] == "ended"


def test_sessions_at_the_same_time_are_one_call_until_the_last_has_ended():
    calls = Calls(keep=60)
    for flow in ("first", "second"):
        calls.join("one", flow, NOON, 0)
    calls.leave("one", "first", 1)
    assert calls.find("one").state == "live"
    calls.leave("one", "second", 2)
    assert calls.find("one").state == "ended"


def test_an_ended_call_stays_for_its_time_and_a_live_one_for_ever():
    calls = Calls(keep=60)
    calls.join("over", "a", NOON, 0)
    calls.join("live", "b", NOON, 0)
    calls.say("over", "a", text(0, "bye"))
    calls.leave("over", "a", 10)
    calls.forget(69)
    assert lines(calls, "over") == ["bye"]
    calls.forget(70)
    assert calls.find("over") is None
    calls.forget(1e9)
    assert calls.find("live") is not None


def test_calls_and_lines_are_bounded_and_the_oldest_go():
    calls = Calls(keep=1e9)
    for number in range(ENDED + 10):
        calls.join(f"call {number}", f"flow {number}", NOON, number)
        calls.leave(f"call {number}", f"flow {number}", number)
    assert [calls.find(f"call {number}") is None for number in range(12)] == [True] * 10 + [False] * 2
    calls.join("one", "flow", NOON, 0)
    pushed_out = [calls.say("one", "flow", text(number, str(number))) for number in range(LINES + 5)]
    assert sum(pushed_out) == 5
    assert lines(calls) == [str(number) for number in range(5, LINES + 5)]
    assert calls.say("one", "flow", text(LINES + 4, "the same one")) == 0


def test_what_comes_of_an_unknown_call_harms_nothing():
    calls = Calls(keep=60)
    calls.leave("never", "flow", 0)
    assert calls.say("never", "flow", text(0, "x")) == 0
    assert calls.find("never") is None
    assert calls.find("") is None


def test_an_id_is_known_by_what_counts():
    assert normal(" 2026AB\n") == normal("2026ab") == "2026ab"
    assert len(normal("x" * 10_000)) == 256
