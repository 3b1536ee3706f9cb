"""The record of the work of a replay's flows, for ui.perfetto.dev."""

from __future__ import annotations

import sys

from flowcore.engine.bus import Event
from flowcore.engine.engine import Engine
from flowcore.engine.flow import Flow
from flowcore.telemetry.perfetto_file import PerfettoFile
from flowcore.telemetry.work_record import SlotClock, WorkRecord

POLL_EVERY = 5
"""Slots between two looks at queues and losses."""


def record_work(engine: Engine, file: PerfettoFile, *, virtual: bool) -> None:
    """Write the work of all flows of an engine that is about to run."""
    now = SlotClock(engine.now) if virtual else engine.now
    records: dict[str, WorkRecord] = {}
    slots = 0

    def opened(flow: Flow) -> None:
        records[flow.id] = record = WorkRecord(flow, now, len(records) + 1)
        record.begin()

    def heard(event: Event) -> None:
        if record := records.get(event.flow):
            record.event(event)

    def closed(flow: Flow) -> None:
        file.add(records[flow.id].take(sys.maxsize))

    def poll() -> None:
        nonlocal slots
        slots += 1
        if slots % POLL_EVERY == 0:
            for flow in engine.flows.values():
                records[flow.id].poll()
                closed(flow)

    engine.on_opened.append(opened)
    engine.on_closed.append(closed)
    engine.bus.subscribe(heard)
    engine.every_slot(poll)
