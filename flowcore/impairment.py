"""Arithmetic of a bad network, for the node ``netsim``, ``simulate --chaos`` and the faults of scenario tests.

Chance comes from a seed, so the same run meets the same faults again.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from itertools import count
from typing import Generic, TypeVar

from flowcore.node import Session

T = TypeVar("T")


def call_rng(purpose: str, seed: int, session: Session) -> random.Random:
    """Return a generator that is the same for the same ``purpose``, ``seed`` and call, in each run and on each machine.

    The attributes ``call_id`` and ``session_id`` identify the call, because the name of a flow changes with each run.
    """
    call = [session.attributes.get(name, "") for name in ("call_id", "session_id")]
    return random.Random(repr((purpose, seed, call)))  # noqa: S311  # it has to be predictable


class GilbertLoss:
    """Loss in bursts: the two-state model of Gilbert (1960), in which all packets of the bad state are lost."""

    def __init__(self, ratio: float, burst: float, rng: random.Random) -> None:
        """``ratio`` is the share of packets that is lost, ``burst`` the mean number of packets lost in a row."""
        self._rng = rng
        self._losing = False
        self.change(ratio, burst)

    def change(self, ratio: float, burst: float) -> None:
        """Lose another share of the packets from the next one on."""
        self._stop = 1 / burst if ratio < 1 else 0.0
        self._start = min(1.0, ratio / burst / (1 - ratio)) if ratio < 1 else 1.0

    def lost(self) -> bool:
        """Draw whether the next packet is lost."""
        chance = self._rng.random()
        self._losing = chance >= self._stop if self._losing else chance < self._start
        return self._losing


class DelayQueue(Generic[T]):
    """Items and the times at which they are due, released in the order of these times; equal times keep their order."""

    def __init__(self) -> None:
        self._held: list[tuple[float, int, T]] = []
        self._number = count()

    def hold(self, item: T, due: float) -> None:
        """Keep ``item`` until ``due``."""
        heapq.heappush(self._held, (due, next(self._number), item))

    def release(self, now: float = float("inf")) -> Iterator[tuple[float, T]]:
        """Remove and yield each item that is due at ``now``, with its time; without ``now``, all items."""
        while self._held and self._held[0][0] <= now:
            due, _, item = heapq.heappop(self._held)
            yield due, item
