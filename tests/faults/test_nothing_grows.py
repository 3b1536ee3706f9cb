"""Rows 34 and 47, and a day: after any number of calls, and however long they last, everything is as before."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import linecache
import threading
import tracemalloc
from dataclasses import replace
from typing import Any

import psutil
import pytest

from flowcore import ANY_AUDIO, Audio, Config, Duration, Format, Host, Listener, Packet, Sink, node
from flowcore.engine.pool import ThreadPool
from flowcore.testing import run_plan
from nodes.audio.g711 import RATE
from tests.faults.calls import recording
from tests.faults.crowd import Crowd
from tests.support.alone import alone
from tests.support.live import Live, until

pytestmark = pytest.mark.slow

MIB = 1 << 20


TRIM = ctypes.CDLL(None).malloc_trim


def rss():
    linecache.clearcache()  # source lines of stacks that were reported
    gc.collect()
    TRIM(0)  # what was freed, and malloc keeps for later
    return psutil.Process().memory_info().rss


@pytest.mark.fault(34)
@pytest.mark.slow
@pytest.mark.timeout(400)
@alone
def test_after_2000_calls_of_which_600_are_cut_all_counts_are_back(tmp_path):
    batch, warm, calls, traced = 40, 500, 2000, 300
    pool = ThreadPool(max_threads=2)  # it keeps those that were ever needed, each with its memory
    with Live("record", [f"wav.path={tmp_path}/{{flow}}.wav"], pool=pool) as live, Crowd() as crowd:

        def call(first, count):
            """In batches that end first: a disk that is slow for a moment would make a new peak of open calls."""
            for at in range(first, first + count, batch):
                numbers = range(at, min(at + batch, first + count))
                crowd.call(live.url, numbers)
                until(lambda numbers=numbers: not live.engine.flows and len(live.named("flow_closed")) == len(numbers))
                live.events.clear()
                for path in tmp_path.iterdir():
                    path.unlink()

        def counts():
            threads = threading.active_count() - pool.threads
            return len(asyncio.all_tasks(live._loop)), threads, psutil.Process().num_fds()

        call(0, warm)
        before, grown, rounds = counts(), 2 * MIB, 0
        while grown >= 2 * MIB and rounds < 3:  # a moment of many open calls is a peak once, a leak each time
            resident, rounds = rss(), rounds + 1
            call(warm, calls)
            until(lambda: all(now <= then for now, then in zip(counts(), before, strict=True)))
            grown = rss() - resident
        assert grown < 2 * MIB
        tracemalloc.start(1)
        snapshots, kept = [], []
        while len(snapshots) < 2 or (sum(line.size_diff for line in kept) >= 50 * traced and len(snapshots) < 5):
            call(0, traced)
            until(lambda: not live.engine._alarms._due)  # those of ended calls go when their time has come
            gc.collect()
            snapshots.append(tracemalloc.take_snapshot())
            differ = snapshots[-1].compare_to(snapshots[-2], "lineno") if len(snapshots) > 1 else []
            kept = [line for line in differ if "/flowcore/" in str(line) or "/nodes/" in str(line)]
        tracemalloc.stop()
        assert sum(line.size_diff for line in kept) < 50 * traced, kept[:5]  # not even 50 bytes of a call
    reasons = live.engine.totals.reasons
    whole = warm + rounds * calls + len(snapshots) * traced
    assert sum(reasons.values()) == whole
    assert 0.25 < reasons["peer_lost"] / whole < 0.35
    assert set(reasons) == {"stop", "peer_lost"}


@node("discard")
class Discard(Sink[Audio]):
    """Stand-in for a recorder, whose files would be gigabytes."""

    caps = (ANY_AUDIO,)
    runs = "thread"
    seconds = 0.0

    def process(self, chunk: Audio) -> None:
        Discard.seconds += chunk.seconds


class LongConfig(Config):
    calls: int
    length: Duration
    message: Duration = Duration("100ms")
    burst: int = 1


@node("long")
class Long(Listener[Packet, LongConfig]):
    """Calls that say one message again and again, ``burst`` of them at a time, each with its own arrival stamp.

    ``memory`` is what the process holds at 24 equal distances.
    """

    memory: list[int] = []

    @classmethod
    def gives(cls, config: Any) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    async def run(self, host: Host) -> None:
        Long.memory.clear()
        step, burst = float(self.config.message), self.config.burst
        count = round(float(self.config.length) / step)
        data = (bytes(range(256)) * 32)[: round(step * RATE)]
        inlets = [host.accept({}) for _ in range(self.config.calls)]
        began = host.now()
        for first in range(0, count, burst):
            await host.sleep(step * burst)
            for number in range(first, first + burst):
                for inlet in inlets:
                    for track in ("agent", "customer"):
                        inlet.push(Packet(track, number, data, began + (number + 1) * step))
            if (first + burst) % (count // 24) == 0:
                Long.memory.append(rss())
        for inlet in inlets:
            inlet.end("stop")


def long(tmp_path, **config: Any):
    plan = recording(tmp_path)
    first = replace(plan.listener, cls=Long, config=LongConfig(**config))
    wav = replace(plan.nodes["wav"], cls=Discard, config=Discard.Config())
    Discard.seconds = 0.0
    return replace(plan, nodes={**plan.nodes, first.name: first, "wav": wav})


@pytest.mark.fault(47)
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_fifty_calls_of_10_minutes_hold_no_more_at_their_end_than_after_2(tmp_path):
    result = run_plan(long(tmp_path, calls=50, length="10min", burst=10), slot=1.0)
    assert Discard.seconds == pytest.approx(50 * 600)
    assert [flow.reason for flow in result.flows] == ["stop"] * 50
    assert len(Long.memory) == 24
    assert Long.memory[-1] - Long.memory[4] < 2 * MIB
    assert max(Long.memory) < Long.memory[0] + 50 * 2 * MIB


@pytest.mark.fault(47)
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_day_of_stream_time_holds_no_more_at_its_end_than_after_2_hours(tmp_path):
    result = run_plan(long(tmp_path, calls=1, length="1440min", burst=100), slot=5.0)
    assert Discard.seconds == pytest.approx(86_400)
    assert result.flows[0].stats["ordered"].dropped == {}
    assert len(result.events) < 10
    assert Long.memory[-1] - Long.memory[1] < 2 * MIB
