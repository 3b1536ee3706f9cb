"""The replay of journals from the start of a run to its end, in the process that started it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from flowcore.call_log.database import Database
from flowcore.call_log.replay import Replay, ReplayThread
from flowcore.engine.bus import Bus, Event

STARTS: Final = frozenset({"listener_opened", "flow_opened"})
"""Events at which a run has started: one that cannot start leaves no database."""


@contextmanager
def replaying(folder: Path, database: Database, days: float, bus: Bus) -> Iterator[None]:
    """Replay the journals in ``folder`` from the start of the run until its end; ``days`` is the age of rows."""
    threads: list[ReplayThread] = []

    def start(event: Event) -> None:
        if event.name not in STARTS or threads:
            return
        loop = asyncio.get_running_loop()

        def emit(name: str, **data: Any) -> None:
            bus.emit(name, **data)
            with suppress(RuntimeError):  # the loop has ended: `replaying` delivers
                loop.call_soon_threadsafe(bus.deliver)

        threads.append(ReplayThread(Replay(folder, database, days), emit))
        bus.emit("call_log_opened", database=str(database))

    bus.subscribe(start)
    try:
        yield
    finally:
        for thread in threads:
            thread.close()
        bus.deliver()
        database.close()
