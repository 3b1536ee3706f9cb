"""Full garbage collections wait for slots with time to spare, and ended calls leave them nothing of weight."""

import asyncio
import gc
import weakref

import pytest

from flowcore.engine.clock import VirtualClock
from flowcore.engine.garbage import MAX_INTERVAL, QUIET_INTERVAL, collected_in_quiet_slots
from flowcore.engine.slots import PERIOD, STRETCH, Slots
from tests.support.live import Live, until
from tests.support.phone import Phone


def full_collections(busy: float, seconds: float) -> list[float]:
    """When they were made by an engine that works ``busy`` seconds in each slot."""
    clock = VirtualClock(start=0.0)
    times: list[float] = []

    def heard(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            times.append(clock.now())

    def work() -> None:
        clock._now += busy

    async def main() -> None:
        slots = Slots(clock, PERIOD)
        slots.every(work)
        with collected_in_quiet_slots(slots):
            gc.callbacks.append(heard)
            beat = asyncio.create_task(slots.run())
            await clock.sleep_until(seconds)
            beat.cancel()
            gc.callbacks.remove(heard)

    clock.run(main())
    return times


def test_full_collections_run_while_slots_have_time():
    times = full_collections(PERIOD / 10, 3.5 * QUIET_INTERVAL)
    assert [round(time / QUIET_INTERVAL, 1) for time in times] == [1, 2, 3]


@pytest.mark.slow
def test_full_collections_wait_long_while_slots_are_busy():
    times = full_collections(PERIOD * STRETCH * 0.8, 2.5 * MAX_INTERVAL)
    assert [round(time / MAX_INTERVAL, 2) for time in times] == [1, 2]


def test_objects_of_resources_opened_before_the_first_slot_are_frozen():
    clock = VirtualClock(start=0.0)
    frozen = []

    async def main() -> None:
        slots = Slots(clock, PERIOD)
        with collected_in_quiet_slots(slots):
            brought = [[number] for number in range(1000)]  # by the parts, which are opened meanwhile
            before = gc.get_freeze_count()
            beat = asyncio.create_task(slots.run())
            await clock.sleep_until(1.0)
            beat.cancel()
            frozen.append(gc.get_freeze_count() - before - len(brought))

    clock.run(main())
    assert frozen[0] >= 0


def test_settings_are_as_before_when_it_ends():
    before = gc.get_threshold(), gc.get_freeze_count()
    full_collections(0.0, 1.0)
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


def test_no_node_of_an_ended_call_waits_for_the_collector(tmp_path):
    with Live("record", [f"wav.path={tmp_path}/{{flow}}.wav"]) as live:
        phone = Phone(live.url, "one")
        phone.start()
        phone.talk(1, 0.5)
        until(lambda: live.engine.flows)
        (flow,) = live.engine.flows.values()
        nodes = {name: weakref.ref(run.node) for name, run in flow.runs.items() if run.node is not None}
        assert len(nodes) > 3
        del flow
        gc.disable()
        try:
            phone.stop()
            phone.hang_up()
            until(lambda: not any(ref() for ref in nodes.values()))
        finally:
            gc.enable()
