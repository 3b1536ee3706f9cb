from itertools import pairwise

import pytest

from flowcore import Gap, Text
from flowcore.engine.gaps import MAX_GAPS, Gaps
from flowcore.testing import tone


def test_contiguous_gaps_are_one():
    gaps = Gaps()
    for chunk in tone("100ms", start=800):
        gaps.add_chunk("wav", "queue_full", chunk)
    gaps.add_chunk("wav", "queue_full", tone("20ms", start=8000)[0])
    assert gaps.of("wav", "queue_full") == (
        Gap("agent", 0.1, 0.2, pytest.approx(0.1)), Gap("agent", 1.0, 1.02, pytest.approx(0.02)),
    )  # fmt: skip
    assert gaps.of("wav", "late") == gaps.of("text", "queue_full") == ()


def test_the_gaps_of_two_parties_come_in_order_of_time():
    gaps = Gaps()
    gaps.add("ordered", "lost", Gap("agent", 2.0, 2.02, 0.02))
    gaps.add("ordered", "lost", Gap("customer", 1.0, 1.02, 0.02))
    assert [gap.track for gap in gaps.of("ordered", "lost")] == ["customer", "agent"]


def test_the_latest_gaps_are_those_of_all_nodes():
    gaps = Gaps()
    for number in range(5):
        gaps.add("ordered", "lost", Gap("agent", number, number + 0.02, 0.02))
    gaps.add("wav", "queue_full", Gap("", 3.5, 3.6, 0.1))
    latest = gaps.latest(3)
    assert [(node, reason, gap.start) for node, reason, gap in latest] == [
        ("ordered", "lost", 3.0), ("wav", "queue_full", 3.5), ("ordered", "lost", 4.0),
    ]  # fmt: skip
    assert len(gaps.latest(100)) == 6


def test_of_very_many_gaps_the_closest_are_joined_and_no_loss_goes_missing():
    gaps, count = Gaps(), 20 * MAX_GAPS
    for number in range(count):
        start = number * 0.1 + (number // 1000) * 60
        gaps.add("ordered", "lost", Gap("agent", start, start + 0.02, 0.02))
    kept = gaps.of("ordered", "lost")
    assert len(kept) <= MAX_GAPS
    assert sum(gap.seconds for gap in kept) == pytest.approx(count * 0.02)
    assert all(one.end < other.start for one, other in pairwise(kept))


def test_a_lost_text_has_the_place_of_its_words():
    gaps = Gaps()
    gaps.add_chunk("post", "drain_deadline", Text("agent", 1.0, 2.5, "hello", True, 0))
    assert gaps.of("post", "drain_deadline") == (Gap("agent", 1.0, 2.5, 0.0),)
