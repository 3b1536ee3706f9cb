"""The heartbeat: even while there is little to do, stretched under load, never in a hurry to make up."""

import asyncio
import itertools
import sys

from flowcore.engine.clock import VirtualClock
from flowcore.engine.slots import Slots, new_loop


def beats(work, seconds=1.0, period=0.02):
    """When slots began, if the n-th one takes ``work(n)`` seconds."""
    clock = VirtualClock(start=0.0)
    began = []

    def poll():
        began.append(round(clock.now(), 6))
        clock._now += work(len(began))

    async def main():
        slots = Slots(clock, period)
        slots.every(poll)
        try:
            await asyncio.wait_for(slots.run(), seconds)
        except TimeoutError:
            return

    clock.run(main())
    return began


def test_idle_slots_are_even():
    assert beats(lambda n: 0.0, 0.11) == [0.02, 0.04, 0.06, 0.08, 0.1]


def test_a_busy_engine_wakes_half_as_often_and_goes_back_when_load_falls():
    began = beats(lambda n: 0.008 if n <= 5 else 0.001)
    steps = [round(b - a, 6) for a, b in itertools.pairwise(began)]
    assert steps[:6] == [0.04] * 5 + [0.02]
    assert set(steps[6:]) == {0.02}


def test_a_slot_that_took_too_long_is_not_made_up_for():
    began = beats(lambda n: 0.1 if n == 1 else 0.0, 0.3)
    assert began[:3] == [0.02, 0.12, 0.14]


def test_the_loop_is_uvloops_and_asyncios_without_it(monkeypatch):
    fast = new_loop()
    fast.close()
    assert type(fast).__module__ == "uvloop"
    monkeypatch.setitem(sys.modules, "uvloop", None)
    plain = new_loop()
    plain.close()
    assert isinstance(plain, asyncio.BaseEventLoop)
