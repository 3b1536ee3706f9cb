"""Python's collector of reference cycles, kept out of the calls' way.

A full collection looks at every object that lives while nothing else happens: 120 ms with 800 calls, and Python makes
one when many of them have begun. An ended call leaves it next to nothing (`flowcore.engine.flow.Flow.release`), so it
can wait for a slot that has time. What is young is looked at as ever, which takes a fraction of a millisecond.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from flowcore.engine.slots import Slots

EVERY = 10.0
"""Seconds between two full collections as long as slots have time."""
AT_LAST = 600.0
"""Seconds after which one is made in a full slot: a node of somebody else's may leave cycles of any size."""
_NEVER = 1 << 30  # collections of the middle generation until Python makes a full one


@contextmanager
def collected_in_quiet_slots(slots: Slots) -> Iterator[None]:
    """Collect so for as long as it lasts. What is there in the first slot, models and all that they brought with them,
    is taken to stay, and never looked at again.
    """
    before = gc.get_threshold()
    done = slots.clock.now()

    def sweep() -> None:
        nonlocal done
        if slots.count == 1:
            gc.freeze()
        age = slots.clock.now() - done
        if age >= (AT_LAST if slots.stretched else EVERY):
            gc.collect()
            done = slots.clock.now()

    slots.at_end(sweep)
    gc.set_threshold(*before[:2], _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
