"""The order of a call: what its numbers count, and how its counters wait for each other."""

import pytest

from tests.support.ordering import ordered, pairs, run_of


@pytest.mark.parametrize(
    ("story", "sent", "heard"),
    [
        ("own counters", "a1 c1 a2 c2 a3 c3", "a1 c1 a2 c2 a3 c3"),
        ("one counter", "a1 c2 a3 c4 a5 c6", "a1 c2 a3 c4 a5 c6"),
        ("one counter, swapped", "a1 a3 c2 c4 c6 a5", "a1 c2 a3 c4 a5 c6"),
        ("one counter, lost", "a1 c2 a3 a5 c6 a7 c8", "a1 c2 a3 ?ac a5 c6 a7 c8"),
        ("own counters, lost", "a1 c1 a2 a3 c3 a4 c4", "a1 c1 a2 a3 a4 ?c c3 c4"),
        ("own counters by two, lost", "a1 c1 a3 c3 a5 c5 a7 a9 c9", "a1 c1 a3 c3 a5 c5 a7 a9 ?c c9"),
        ("own counters far apart", "a1 c90 a2 c91 a3 c92", "a1 c90 a2 c91 a3 c92"),
        ("steps of two", "a1 a3 a5 a9", "a1 a3 a5 ?a a9"),
        ("a step that is no multiple of three", "a1 a4", "a1 ?a ?a a4"),
        ("bursts of one counter", "a1 a2 a3 c4 c5 c6 a8", "a1 a2 a3 c4 c5 c6 ?ac a8"),
    ],
)
def test_what_the_numbers_count_is_learnt(story, sent, heard):
    assert " ".join(ordered(sent).lines) == heard, story


def test_repeats_are_dropped_also_where_numbers_count_something_else():
    sent = [f"a{320 * at}" for at in range(20)]
    log = ordered(" ".join(name for name in sent for _ in range(2)))
    assert log.lines == ["!numbering_unknown", *sent]
    assert log.dropped_lines == ["-duplicate"] * 20


def test_a_gap_on_one_counter_does_not_stop_the_other():
    log = ordered(f"{pairs(range(1, 10))} a11 c10 c11 c12")
    assert log.lines[18:] == ["c10", "c11", "c12", "?a", "a11"]


def test_the_other_tracks_arrivals_end_the_wait():
    log = ordered(f"{pairs(range(1, 10))} a11 {run_of('c', range(10, 30))}", spacing=0.02)
    assert log.lines[18:27] == [*run_of("c", range(10, 16)).split(), "?a", "a11", "c16"]
