"""A node that blocks is named while it blocks."""

import asyncio
import threading
import time
from typing import Any

import pytest

from flowcore import Audio, Session, Sink, node
from flowcore.engine import watchdog
from flowcore.engine.bus import Bus
from flowcore.engine.engine import Engine
from flowcore.engine.pool import ThreadPool
from tests.engine.nodes import Tones, plan, step

FREED = threading.Event()


class FreeingBus(Bus):
    """Lets the blocking node go once it was reported: a machine that gives us no time may be reported before."""

    def emit(self, name: str, flow: str = "", node: str = "", **data: Any) -> None:
        super().emit(name, flow, node, **data)
        if name in ("loop_blocked", "thread_stuck") and node == "culprit":
            FREED.set()


@node("blocks")
class Blocks(Sink[Audio]):
    """Blocks in the event loop's thread, once."""

    def process(self, chunk: Audio) -> None:
        if chunk.start == 0:
            assert FREED.wait(60)


class BlocksInThread(Blocks):
    """Blocks a thread of the pool, once."""

    name = "blocks_in_thread"
    runs = "thread"


@node("notes_age")
class NotesAge(Sink[Audio]):
    """Notes for how long its thread seems to have been busy, each time compared with the chunk before."""

    runs = "thread"
    engine: Engine
    older_than_the_chunk_before: list[bool] = []

    def open(self, session: Session) -> None:
        self._done = 0.0

    def process(self, chunk: Audio) -> None:
        pool = self.engine.pool
        assert isinstance(pool, ThreadPool)
        self.older_than_the_chunk_before.append(pool.running[threading.get_ident()].since < self._done)
        self._done = time.monotonic()


def test_a_thread_that_goes_on_from_chunk_to_chunk_without_a_rest_is_not_stuck():
    NotesAge.engine = Engine(plan(step("call", Tones), step("end", NotesAge, "call")))
    asyncio.run(NotesAge.engine.run())
    assert len(NotesAge.older_than_the_chunk_before) > 1
    assert not any(NotesAge.older_than_the_chunk_before)


@pytest.mark.fault(32)
@pytest.mark.parametrize(("cls", "event"), [(Blocks, "loop_blocked"), (BlocksInThread, "thread_stuck")])
@pytest.mark.slow
def test_a_node_that_blocks_is_named_with_its_flow_and_stack(cls, event, monkeypatch):
    monkeypatch.setattr(watchdog, "STRAND_TIMEOUT", 0.2)
    FREED.clear()
    engine = Engine(plan(step("call", Tones), step("culprit", cls, "call")), bus=FreeingBus(), new_id=lambda: "f")
    events: list[Any] = []
    engine.bus.subscribe(events.append)
    asyncio.run(engine.run())
    report = next(report for report in events if report.name == event and report.node == "culprit")
    assert report.flow[-1] == "f"
    assert "FREED.wait" in report.data["stack"]
    assert engine.totals.failed == 0
