"""Alarms: wake-ups that nodes ask for, checked once a slot.

A recogniser that gets no more packets must still finish the sentence that ended when the caller was put on hold. It
has no clock of its own, so it asks for a time, and its chain is woken in the first slot after that time.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count

NEVER = float("inf")


class Alarms:
    """The alarms of one engine, soonest first; ``now`` gives monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._asked: deque[tuple[float, Alarm]] = deque()  # appended from any thread; `ring` sorts them in
        self._due: list[tuple[float, int, Alarm]] = []
        self._number = count()

    def ask(self, when: float, alarm: Alarm) -> None:
        """Ring ``alarm`` in the first slot at or after ``when``. From any thread."""
        self._asked.append((when, alarm))

    def ring(self) -> None:
        """Ring the alarms that are due. Called once a slot."""
        while self._asked:
            when, alarm = self._asked.popleft()
            heapq.heappush(self._due, (when, next(self._number), alarm))
        if self._due and self._due[0][0] <= (now := self._now()):
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2].ring(now)


class Alarm:
    """One node's alarm: calls ``wake`` at the time set last. Setting a later time with every chunk costs nothing."""

    __slots__ = ("_alarms", "_asked", "_wake", "_when")

    def __init__(self, alarms: Alarms, wake: Callable[[], object]) -> None:
        self._alarms = alarms
        self._wake = wake
        self._when = NEVER
        self._asked = NEVER  # the time that `Alarms` has, which may be sooner

    def __call__(self, when: float) -> None:
        """Ring at ``when`` instead of the time set before; `NEVER` cancels. From any thread."""
        self._when = when
        if when < self._asked:
            self._asked = when
            self._alarms.ask(when, self)

    def end(self) -> None:
        """Cancel, and drop the reference to the chain: `Alarms` may keep this object long after its call."""
        self._when = NEVER
        self._wake = _no_op

    def ring(self, now: float) -> None:
        """Wake the chain, or ask again if the alarm was put off meanwhile."""
        self._asked = NEVER  # before ``_when`` is read: a time set from now on is asked for again
        if self._when <= now:
            self._when = NEVER
            self._wake()
        elif self._when < NEVER:
            self(self._when)


def _no_op() -> None:
    """No-op callback used after `Alarm.end`."""
