"""Garbage collection in quiet slots, out of the way of calls.

A full collection visits every live object while all else stands still: 120 ms with 800 calls, and Python starts one
when many calls have begun. An ended call leaves almost no cycles (`flowcore.engine.flow.Flow.release`), so full
collections can wait for a slot that has time. Young generations are collected as usual, in a fraction of a millisecond.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from flowcore.engine.slots import Slots

QUIET_INTERVAL = 10.0
"""Seconds between two full collections while slots have time."""
MAX_INTERVAL = 600.0
"""Seconds after which a full collection runs in a busy slot too: a third-party node may leave cycles of any size."""
_NEVER = 1 << 30  # collections of the middle generation before Python starts a full one


@contextmanager
def collected_in_quiet_slots(slots: Slots) -> Iterator[None]:
    """Collect in quiet slots while the context lasts.

    Objects that exist in the first slot, such as models and their libraries, are taken to be permanent and are frozen.
    """
    before = gc.get_threshold()
    done = slots.clock.now()

    def sweep() -> None:
        nonlocal done
        if slots.count == 1:
            gc.freeze()
        age = slots.clock.now() - done
        if age >= (MAX_INTERVAL if slots.stretched else QUIET_INTERVAL):
            gc.collect()
            done = slots.clock.now()

    slots.at_end(sweep)
    gc.set_threshold(*before[:2], _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
