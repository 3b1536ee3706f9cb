"""Counters: sums, seconds of streams, sampled slots, and imbalances."""

import json

import pytest

from flowcore.engine.stats import NodeStats, Reasons, Sampler, unbalanced
from flowcore.engine.totals import Totals


def stats(dropped: float, filled: float) -> NodeStats:
    one = NodeStats()
    one.arrived.add(10, 2.0)
    one.left.add(9, 1.8)
    one.dropped.count("queue_full", 1, dropped)
    one.filled.count("lost", 2, filled)
    one.depth, one.own = 0.1, 0.25
    for _ in range(5):
        one.waits.observe(0.1)
    return one


def test_a_sum_has_the_counters_of_both():
    both = stats(0.2, 0.1)
    both.add(stats(0.4, 0.3))
    assert (both.arrived.chunks, both.left.seconds) == (20, 3.6)
    assert both.dropped.total().seconds == pytest.approx(0.6)
    assert both.filled["lost"].chunks == 4
    assert (both.waits.count, both.waits.total, both.depth, both.own) == (10, pytest.approx(1.0), 0.2, 0.5)


def test_counters_come_through_a_pipe_as_they_were():
    before = stats(0.2, 0.1)
    after = Totals.from_message(json.loads(json.dumps(Totals(nodes={"a": before}).to_message()))).nodes["a"]
    assert after.json() == before.json()
    assert before.json()["mean_wait_ms"] == 100.0
    assert NodeStats().json()["mean_wait_ms"] == 0.0


def test_seconds_of_a_stereo_stream_are_half_its_seconds_of_channels():
    shown = Reasons()
    shown.add(stats(0.4, 0.2).dropped, channels=2)
    assert shown["queue_full"].seconds == 0.2


def test_one_slot_in_so_many_is_sampled():
    sampler = Sampler(every=4)
    on = []
    for _ in range(8):
        sampler.tick()
        on.append(sampler.on)
    assert on == [False, False, False, True] * 2


def test_an_imbalance_names_its_place_and_both_sides():
    assert list(unbalanced("node x", 1.0, 1.0005, 1e-3)) == []
    assert list(unbalanced("node x", 1.0, 0.5, 1e-3)) == ["node x: in 1.000000 is not out and dropped 0.500000"]
