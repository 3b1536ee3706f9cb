"""A border by itself: what it holds, what it drops, and the ends of several producers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Audio
from flowcore.engine.border import EMPTY, END, Border
from flowcore.graph.model import OnFull
from flowcore.graph.plan import BorderPlan
from flowcore.testing import tone

CHUNKS = tone("1s")  # 20 ms each


class Producer:
    """A chain that stops and goes on as it is told."""

    def __init__(self) -> None:
        self.blocked = False

    def block(self, border: Border) -> None:
        self.blocked = True

    def unblock(self, border: Border) -> None:
        self.blocked = False


def border(on_full: OnFull, seconds: float = 0.1, chunks: int = 4096) -> Border:
    made = Border("node", BorderPlan(seconds, on_full, chunks), lambda: 0.0)
    made.producers += [Producer(), Producer()]
    return made


def rest(made: Border) -> list[Any]:
    """All that is left in it, ends as None."""
    got = []
    while (chunk := made.get()) is not EMPTY:
        got.append(None if chunk is END else chunk)
    return got


def starts(chunks: list[Any]) -> list[int]:
    """The numbers of chunks."""
    return [chunk.start // 160 for chunk in chunks]


POLICIES = st.sampled_from(["block", "drop_oldest", "drop_newest", "fail"])
ACTIONS = st.lists(st.sampled_from(["put", "put", "get"]), max_size=50)


class Played:
    """A border after some puts and gets, the law checked after each; ``got`` came out of it."""

    def __init__(self, policy: OnFull, actions: list[str], seconds: float, chunks: int) -> None:
        self.border = border(policy, seconds, chunks)
        self.put: list[Audio] = []
        self.got: list[Audio] = []
        for action in actions:
            if action == "put":
                self.put.append(CHUNKS[len(self.put)])
                self.border.put(self.put[-1])
            elif (chunk := self.border.get()) is not EMPTY:
                self.got.append(chunk)
            assert not list(self.border.unlawful())
            if policy != "block":
                assert self.border.depth <= seconds + 1e-9
                assert len(self.border) <= chunks


BOUNDS = {"seconds": st.sampled_from([0.02, 0.05, 0.1]), "chunks": st.sampled_from([1, 3, 100])}


@given(policy=POLICIES.filter(lambda policy: policy != "block"), actions=ACTIONS, **BOUNDS)
def test_a_border_never_holds_more_than_its_bound(
    policy: OnFull, actions: list[str], seconds: float, chunks: int
) -> None:
    played = Played(policy, actions, seconds, chunks)
    assert len(rest(played.border)) * 0.02 <= seconds + 1e-9


@given(policy=POLICIES, actions=ACTIONS, **BOUNDS)
def test_the_law_holds_at_all_times(policy: OnFull, actions: list[str], seconds: float, chunks: int) -> None:
    played = Played(policy, actions, seconds, chunks)
    left = len(played.got) + len(rest(played.border))
    assert left + played.border.dropped.total().chunks == len(played.put)


@given(policy=POLICIES, actions=ACTIONS, **BOUNDS)
def test_what_leaves_is_what_came_in_its_order_without_what_was_dropped(
    policy: OnFull, actions: list[str], seconds: float, chunks: int
) -> None:
    played = Played(policy, actions, seconds, chunks)
    left = starts(played.got + rest(played.border))
    assert left == sorted(set(left))
    if policy == "block":
        assert left == starts(played.put)


def test_drop_oldest_keeps_the_newest() -> None:
    made = border("drop_oldest")
    for chunk in CHUNKS[:8]:
        made.put(chunk)
    assert starts(rest(made)) == [3, 4, 5, 6, 7]
    assert made.dropped["queue_full"].chunks == 3


def test_drop_newest_keeps_the_oldest() -> None:
    made = border("drop_newest")
    for chunk in CHUNKS[:8]:
        made.put(chunk)
    assert starts(rest(made)) == [0, 1, 2, 3, 4]
    assert made.dropped["queue_full"].chunks == 3


def test_blocked_producers_go_on_when_half_is_read() -> None:
    made = border("block")
    for chunk in CHUNKS[:6]:
        made.put(chunk)
    blocked = []
    for _ in range(6):
        blocked.append([producer.blocked for producer in made.producers])  # type: ignore[attr-defined]
        made.get()
    assert blocked == [[True] * 2] * 4 + [[False] * 2] * 2
    assert not made.dropped


def test_what_is_abandoned_is_counted() -> None:
    made = border("block")
    for chunk in CHUNKS[:8]:
        made.put(chunk)
    made.get()
    made.abandon("drain_deadline")
    assert made.dropped["drain_deadline"].json() == {"chunks": 7, "ms": 140}
    assert not any(producer.blocked for producer in made.producers)  # type: ignore[attr-defined]
    assert rest(made) == []
    assert not list(made.unlawful())


@pytest.mark.parametrize("policy", ["block", "drop_oldest", "drop_newest", "fail"])
def test_the_end_comes_last_whatever_is_dropped(policy: OnFull) -> None:
    """Also that of a producer which ends long before the other."""
    made = border(policy)
    made.put(CHUNKS[0])
    made.end()
    for chunk in CHUNKS[1:20]:
        made.put(chunk)
        assert policy == "block" or made.depth <= 0.1 + 1e-9
    made.end()
    got = rest(made)
    assert got[-2:] == [None, None]
    assert None not in got[:-2]
    assert not list(made.unlawful())


def test_depth_is_right_while_one_of_two_producers_has_ended() -> None:
    made = border("block")
    made.put(CHUNKS[0])
    made.end()
    for chunk in CHUNKS[1:4]:
        made.put(chunk)
    depths = []
    for _ in range(4):
        depths.append(round(made.depth, 6))
        made.get()
        assert not list(made.unlawful())
    assert depths == [0.08, 0.06, 0.04, 0.02]
    assert made.depth == 0.0
