"""The virtual clock: hours pass in milliseconds, and in order."""

import asyncio

from flowcore.engine.clock import VirtualClock


def test_virtual_hours_pass_in_no_time_and_sleepers_wake_in_order():
    clock = VirtualClock()
    woke: list[tuple[str, float]] = []

    async def sleeper(name: str, hours: float) -> None:
        await clock.sleep_until(1000 + 3600 * hours)
        woke.append((name, clock.now()))

    async def main() -> None:
        await asyncio.gather(sleeper("late", 48), sleeper("early", 1), sleeper("mid", 24))

    clock.run(main())
    assert woke == [("early", 4600.0), ("mid", 87400.0), ("late", 173800.0)]
