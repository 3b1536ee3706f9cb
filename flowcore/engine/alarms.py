"""Alarms: nodes that want to be called although nothing came, looked at once a slot.

A recogniser that hears no more packets must still finish what was said before the caller was put on hold. It has no
clock of its own, so it asks for a time, and its chain is woken in the first slot after it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count

NEVER = float("inf")


class Alarms:
    """All that is wanted of one engine, soonest first; ``now`` gives monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._asked: deque[tuple[float, Alarm]] = deque()  # from any thread, put in order by `ring`
        self._due: list[tuple[float, int, Alarm]] = []
        self._number = count()

    def ask(self, when: float, alarm: Alarm) -> None:
        """Ring ``alarm`` in the first slot at or after ``when``. From any thread."""
        self._asked.append((when, alarm))

    def ring(self) -> None:
        """Once a slot."""
        while self._asked:
            when, alarm = self._asked.popleft()
            heapq.heappush(self._due, (when, next(self._number), alarm))
        if self._due and self._due[0][0] <= (now := self._now()):
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2].ring(now)


class Alarm:
    """One node's: calls ``wake`` at the time asked for last. A node that puts it off with every chunk pays nothing."""

    __slots__ = ("_alarms", "_asked", "_wake", "_when")

    def __init__(self, alarms: Alarms, wake: Callable[[], None]) -> None:
        self._alarms = alarms
        self._wake = wake
        self._when = NEVER
        self._asked = NEVER  # what `Alarms` knows of, which may be sooner

    def __call__(self, when: float) -> None:
        """Ring at ``when`` instead of any time asked for before; `NEVER` for not at all. From any thread."""
        self._when = when
        if when < self._asked:
            self._asked = when
            self._alarms.ask(when, self)

    def end(self) -> None:
        """Ring no more, and hold nothing: `Alarms` may know of it for long after its call has ended."""
        self._when = NEVER
        self._wake = _nobody

    def ring(self, now: float) -> None:
        """The time that was asked for has come, unless it was put off since."""
        self._asked = NEVER  # before the look at what is wanted: who asks from now on asks anew
        if self._when <= now:
            self._when = NEVER
            self._wake()
        elif self._when < NEVER:
            self(self._when)


def _nobody() -> None:
    """Who is woken after the end."""
