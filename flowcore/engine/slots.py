"""The heartbeat: the engine wakes once a slot, takes what every source has, and sleeps.

One wake-up for all calls and all that arrived since the last one costs a fraction of a wake-up per packet; what it
costs in latency is at most one slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flowcore.engine.clock import Clock

PERIOD = 0.020
"""Length of a slot in seconds: one packet time of telephony."""
STRETCH = 2
"""How many times longer slots get under load: half the wake-ups and half the reads, for one packet time of latency."""
STRETCH_ABOVE = 0.25
"""Part of a slot that is work, above which slots are stretched."""
SHRINK_BELOW = 0.15
"""Part of a stretched slot that is work, below which slots shrink again."""


class Slots:
    """Calls every registered function once a slot, in the event loop's thread, in the order of registration.

    Under load slots are stretched, see ``STRETCH``. ``lag`` is how late the present slot began, in seconds; ``busy``
    what the last one took; ``beat`` when the last one ended, in seconds of the clock: while it grows old, something
    holds up the event loop.
    """

    def __init__(self, clock: Clock, period: float = PERIOD) -> None:
        self.clock = clock
        self.period = period
        self.count = 0
        self.lag = 0.0
        self.busy = 0.0
        self.beat = clock.now()
        self.stretched = False
        self._polls: list[Callable[[], None]] = []
        self._closing: list[Callable[[], None]] = []
        self._waiting: list[asyncio.Future[None]] = []

    def every(self, poll: Callable[[], None]) -> Callable[[], None]:
        """Call ``poll`` once a slot; returns what cancels it."""
        self._polls.append(poll)

        def cancel() -> None:
            if poll in self._polls:
                self._polls.remove(poll)

        return cancel

    def at_end(self, sweep: Callable[[], None]) -> None:
        """Call ``sweep`` at the end of every slot, after all polls."""
        self._closing.append(sweep)

    async def next(self) -> None:
        """Wait for the next slot's polls to be done."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    async def run(self) -> None:
        """Beat until cancelled. A slot that took longer than its period delays the next one; none is made up for."""
        due = self.clock.now() + self.period
        while True:
            await self.clock.sleep_until(due)
            began = self.clock.now()
            self.lag = began - due
            self.count += 1
            for poll in tuple(self._polls):
                poll()
            for sweep in self._closing:
                sweep()
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
            ended = self.clock.now()
            self.beat = ended
            self.busy = ended - began
            due = max(due + self._next_period(), ended)

    def _next_period(self) -> float:
        longer = self.period * STRETCH
        self.stretched = self.busy > (SHRINK_BELOW * longer if self.stretched else STRETCH_ABOVE * self.period)
        return longer if self.stretched else self.period
