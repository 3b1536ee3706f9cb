"""The contract of a border, see docs/border.md: any row of puts and gets keeps to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Audio
from flowcore.engine.border import EMPTY, END, Border
from flowcore.graph.plan import BorderPlan


def chunk(number, frames=160):
    return Audio(np.zeros(frames, np.int16), "s16", 8000, "agent", number)


def border(seconds=0.1, on_full="drop_oldest", chunks=4096):
    return Border("node", BorderPlan(seconds, on_full, chunks), lambda: 0.0)


def drained(full):
    found = []
    while (got := full.get()) is not EMPTY:
        found.append(got)
    return found


class Played:
    """A border of 100 ms and 6 chunks in use: what came, and what left."""

    def __init__(self, on_full):
        self.border = border(0.1, on_full, 6)
        self.came = []
        self.left = []

    def step(self, frames):
        if frames is not None:
            self.border.put(chunk(len(self.came), frames))
            self.came.append(len(self.came))
        elif (got := self.border.get()) is not EMPTY:
            self.left.append(got.start)


POLICIES = st.sampled_from(["drop_oldest", "drop_newest", "fail"])
STEPS = st.lists(st.one_of(st.integers(1, 900), st.none()), max_size=60)
"""A length to put, or None to get."""


@given(STEPS, POLICIES)
def test_a_border_never_holds_more_than_its_bound(steps, on_full):
    played = Played(on_full)
    for step in steps:
        played.step(step)
        assert played.border.depth <= 0.1 + 1e-6
        assert len(played.border) <= 6


@given(STEPS, POLICIES)
def test_chunks_leave_in_order_without_those_dropped(steps, on_full):
    played = Played(on_full)
    for step in steps:
        played.step(step)
    left = played.left + [got.start for got in drained(played.border)]
    assert left == sorted(set(left))
    assert set(left) <= set(played.came)
    assert len(played.came) - len(left) == played.border.dropped.total().chunks


@given(STEPS, POLICIES)
def test_the_counters_balance_at_all_times(steps, on_full):
    played = Played(on_full)
    for step in steps:
        played.step(step)
        assert list(played.border.imbalances()) == []


@given(STEPS, POLICIES)
def test_the_end_comes_last_even_after_drops(steps, on_full):
    played = Played(on_full)
    for step in steps:
        played.step(step)
    played.border.end()
    assert drained(played.border)[-1] is END


def test_depth_is_right_while_one_of_two_producers_has_ended():
    full = border(on_full="block")
    full.put(chunk(0))
    full.end()
    for number in range(1, 4):
        full.put(chunk(number))
    depths = []
    for _ in range(4):
        depths.append(round(full.depth, 6))
        full.get()
        assert list(full.imbalances()) == []
    assert depths == [0.08, 0.06, 0.04, 0.02]


def test_drop_oldest_goes_on_after_one_of_two_producers_has_ended():
    full = border(on_full="drop_oldest")
    full.end()
    for number in range(8):
        full.put(chunk(number))
    assert [got if got is END else got.start for got in drained(full)] == [3, 4, 5, 6, 7, END]


def test_abandoned_chunks_are_counted():
    full = border()
    for number in range(3):
        full.put(chunk(number))
    full.end()
    full.abandon("drain_deadline")
    assert full.dropped.json() == {"drain_deadline": {"chunks": 3, "ms": 60.0}}
    assert full.get() is EMPTY
    assert list(full.imbalances()) == []


def test_drop_oldest_keeps_the_newest():
    full = border(on_full="drop_oldest")
    for number in range(8):
        full.put(chunk(number))
    assert [got.start for got in drained(full)] == [3, 4, 5, 6, 7]


def test_drop_newest_keeps_the_oldest():
    full = border(on_full="drop_newest")
    for number in range(8):
        full.put(chunk(number))
    assert [got.start for got in drained(full)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("on_full", ["drop_oldest", "drop_newest", "fail"])
def test_text_is_bounded_by_count(on_full):
    full = border(on_full=on_full, chunks=3)
    for number in range(8):
        full.put(chunk(number, 0))
    assert len(full) == 3


class Producer:
    def __init__(self):
        self.said = []

    def block(self, border):
        self.said.append("block")

    def unblock(self, border):
        self.said.append("unblock")


def test_blocked_producers_go_on_when_half_is_read():
    full, producers = border(on_full="block"), [Producer(), Producer()]
    full.producers += producers
    for number in range(6):
        full.put(chunk(number))
    assert [producer.said for producer in producers] == [["block"], ["block"]]
    for _ in range(3):
        full.get()
    assert producers[0].said == ["block"]
    full.get()
    assert [producer.said for producer in producers] == [["block", "unblock"]] * 2
    assert full.dropped.total().chunks == 0


def test_an_abandoned_border_unblocks_its_producers():
    full, producer = border(on_full="block"), Producer()
    full.producers.append(producer)
    for number in range(6):
        full.put(chunk(number))
    full.abandon("drain_deadline")
    assert producer.said == ["block", "unblock"]


def test_the_wait_is_that_of_the_latest_measured_chunk_also_while_it_waits():
    times = iter([1.0, 1.25, 1.5, 2.0])
    queue = Border("node", BorderPlan(1.0, "block"), lambda: next(times))
    assert queue.wait == 0.0
    queue.put(chunk(0))
    assert queue.wait == 0.25
    queue.get()
    assert (queue.wait, queue.latest, queue.longest) == (0.5, 0.5, 0.5)


def test_fullness_is_that_of_the_nearer_bound():
    full = border(seconds=0.1, chunks=100)
    assert full.fullness == 0.0
    full.put(chunk(0))
    assert full.fullness == pytest.approx(0.2)
    few = border(seconds=10.0, chunks=2)
    few.put(chunk(0))
    assert few.fullness == pytest.approx(0.5)
