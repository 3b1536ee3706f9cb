"""Slots: the engine wakes once a slot, reads all sources, and sleeps.

One wake-up for all calls and all packets since the last slot costs a fraction of one wake-up per packet. It adds at
most one slot of latency.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flowcore.engine.clock import Clock
from flowcore.metrics import Histogram

PERIOD = 0.020
"""Length of a slot in seconds: one packet time of telephony."""
STRETCH = 2
"""Factor by which slots grow under load: half the wake-ups and half the reads, for one packet time of latency."""
STRETCH_ABOVE = 0.25
"""Busy fraction of a slot above which slots are stretched."""
SHRINK_BELOW = 0.15
"""Busy fraction of a stretched slot below which slots shrink again."""


def new_loop() -> asyncio.AbstractEventLoop:
    """Make an event loop for an engine: uvloop's, or asyncio's where uvloop is not installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Slots:
    """Calls every registered function once a slot, in the event loop's thread, in the order of registration.

    Under load slots are stretched, see ``STRETCH``. ``lag`` is the delay of the present slot's beginning and ``busy``
    the duration of the last one, in seconds, of which ``durations`` has all; ``beat`` is the clock's time at the end of
    the last one: an old ``beat`` means that the event loop is blocked.
    """

    def __init__(self, clock: Clock, period: float = PERIOD) -> None:
        self.clock = clock
        self.period = period
        self.count = 0
        self.lag = 0.0
        self.busy = 0.0
        self.durations = Histogram()
        self.beat = clock.now()
        self.stretched = False
        self._polls: list[Callable[[], None]] = []
        self._closing: list[Callable[[], None]] = []
        self._waiting: list[asyncio.Future[None]] = []

    def every(self, poll: Callable[[], None]) -> Callable[[], None]:
        """Call ``poll`` once a slot. Returns a function that cancels it."""
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
        """Run slots until cancelled. A slot that exceeds its period delays the next one; missed slots are skipped."""
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
            self.durations.observe(self.busy)
            due = max(due + self._next_period(), ended)

    @property
    def length(self) -> float:
        """Seconds from the present slot to the next one."""
        return self.period * STRETCH if self.stretched else self.period

    def _next_period(self) -> float:
        longer = self.period * STRETCH
        self.stretched = self.busy > (SHRINK_BELOW * longer if self.stretched else STRETCH_ABOVE * self.period)
        return self.length
