"""What happens inside the process: hops, borders, chunks, flows. No socket, no thread, no clock but the CPU's.

Each figure comes with the cheapest Python that does the same kind of thing, measured in turn with it in many short
rounds: their ratio hardly depends on the machine or on what else runs there.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from flowcore import ANY_AUDIO, Audio, Config, Emit, Format, Host, Listener, Packet, Session, Sink, Transform, node
from flowcore.diagnostics import Position
from flowcore.engine.alarms import Alarms
from flowcore.engine.bus import Bus
from flowcore.engine.clock import SystemClock
from flowcore.engine.flow import Flow
from flowcore.engine.pool import InlinePool
from flowcore.engine.silencing import Silencing
from flowcore.engine.stats import Sampler
from flowcore.engine.version import Version
from flowcore.graph.load import load
from flowcore.graph.model import Graph, GraphNode, Input, QueueConfig
from flowcore.graph.negotiate import compile_graph
from flowcore.graph.plan import Plan

ROOT = Path(__file__).parents[2]
CHUNKS = 2000
HOPS = 20
BURST = 10
"""Chunks that wait in a border when the other side's turn comes."""
PACKET = 160
HERE = Position(1, 1)


@node("nothing_listened")
class Nothing(Listener[Audio]):
    """Never run: the bench pushes into the flow itself."""

    @classmethod
    def gives(cls, config: Any) -> Format:
        return Format("audio", "s16", 8000, "mono")

    async def run(self, host: Host) -> None:
        raise NotImplementedError


@node("nop")
class Nop(Transform[Audio, Audio]):
    """Passes chunks on."""

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        emit(chunk)


@node("null")
class Null(Sink[Audio]):
    """Takes chunks."""

    caps = (ANY_AUDIO,)

    def process(self, chunk: Audio) -> None:
        pass


@dataclass(frozen=True)
class Figure:
    """Microseconds of one thing, and how many times the cheapest Python of its kind that is."""

    us: float
    ratio: float


def _step(name: str, cls: Any, *inputs: str, queue: bool = False) -> GraphNode:
    border = QueueConfig(max="1h") if queue else None  # type: ignore[arg-type]  # validated
    return GraphNode(name, cls, Config(), tuple(Input(i, "", HERE) for i in inputs), border, None, HERE)


def row(nops: int, *, queue: bool = False) -> Plan:
    """A listener, so many nops and a sink, with a border before the sink or none."""
    names = ["source", *(f"nop{n}" for n in range(nops)), "sink"]
    classes = [Nothing, *[Nop] * nops, Null]
    steps = [_step("source", Nothing)]
    for name, cls, before in zip(names[1:], classes[1:], names, strict=False):
        steps.append(_step(name, cls, before, queue=queue and name == "sink"))
    return compile_graph(Graph("bench", "", {step.name: step for step in steps}), [])


class Bench:
    """One flow of a plan, and the pool that stands for its threads."""

    def __init__(self, plan: Plan, flow: str = "bench") -> None:
        self.pool = InlinePool()
        clock = SystemClock()
        session = Session(flow, datetime(2026, 1, 2, 3, 4, 5), {"call_id": flow})
        self.flow = Flow(
            Version(1, plan),
            session,
            clock=clock,
            pool=self.pool,
            loop_pool=InlinePool(),
            alarms=Alarms(clock.now),
            bus=Bus(),
            sampler=Sampler(),
            silencing=Silencing(),
            drain=10.0,
            needs_sweep=lambda flow: None,
        )
        self.flow.start()
        self.pool.rebalance()

    def end(self) -> None:
        """To the last sample."""
        self.flow.end("stop")
        self.pool.rebalance()
        self.flow.sweep()
        assert self.flow.state == "closed"
        self.flow.check_balance()
        assert not self.flow.failures


def cpu_us(work: Callable[[], None], times: int) -> float:
    """Microseconds of CPU for each of ``times`` things that ``work`` does."""
    began = time.process_time_ns()
    work()
    return (time.process_time_ns() - began) / 1000 / times


@contextmanager
def _no_gc() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _compare(rounds: int, thing: Callable[[], float], bare: Callable[[], float]) -> Figure:
    """Medians of ``rounds`` of both in turn; the ratio is the median of the rounds' ratios."""
    with _no_gc():
        thing(), bare()
        pairs = [(thing(), bare()) for _ in range(rounds)]
    return Figure(median(a for a, _ in pairs), median(a / b for a, b in pairs))


def hop(rounds: int) -> Figure:
    """Handing a chunk to the next node, beside a call of an empty Python function."""
    chunk = Audio(np.zeros(PACKET, np.int16), "s16", 8000, "agent", 0)
    short, long = Bench(row(0)).flow.push, Bench(row(HOPS)).flow.push

    def passed(push: Callable[[Audio], None]) -> Callable[[], None]:
        def work() -> None:
            for _ in range(CHUNKS):
                push(chunk)

        return work

    def empty(chunk: Audio) -> None:
        pass

    def calls() -> None:
        call = empty
        for _ in range(CHUNKS * 10):
            call(chunk)

    return _compare(
        rounds,
        lambda: (cpu_us(passed(long), CHUNKS) - cpu_us(passed(short), CHUNKS)) / HOPS,
        lambda: cpu_us(calls, CHUNKS * 10),
    )


def border(rounds: int) -> Figure:
    """Putting a chunk into a border and taking it out, beside a bare deque."""
    chunk = Audio(np.zeros(PACKET, np.int16), "s16", 8000, "agent", 0)
    fused, queued = Bench(row(0)), Bench(row(0, queue=True))

    def passed(bench: Bench) -> Callable[[], None]:
        push, rebalance = bench.flow.push, bench.pool.rebalance

        def work() -> None:
            for _ in range(CHUNKS // BURST):
                for _ in range(BURST):
                    push(chunk)
                rebalance()

        return work

    def bare() -> None:
        queue: deque[Audio] = deque()
        for _ in range(CHUNKS):
            for _ in range(BURST):
                queue.append(chunk)
            for _ in range(BURST):
                queue.popleft()

    return _compare(
        rounds,
        lambda: cpu_us(passed(queued), CHUNKS) - cpu_us(passed(fused), CHUNKS),
        lambda: cpu_us(bare, CHUNKS * BURST),
    )


def chunk(rounds: int) -> Figure:
    """Making an ``Audio``, beside a tuple of the same five things."""
    samples = np.zeros(PACKET, np.int16)

    def make() -> None:
        for start in range(CHUNKS * 10):
            Audio(samples, "s16", 8000, "agent", start)

    def tuples() -> None:
        for start in range(CHUNKS * 10):
            (samples, "s16", 8000, "agent", start)  # noqa: B018  # it is the making that counts

    return _compare(rounds, lambda: cpu_us(make, CHUNKS * 10), lambda: cpu_us(tuples, CHUNKS * 10))


def packets(count: int) -> list[Packet]:
    """A call's packets of both parties in turn, arriving at real-time pace."""
    noise = np.random.default_rng(1).integers(0, 256, (97, PACKET), dtype=np.uint8)
    data = [row.tobytes() for row in noise]
    return [
        Packet(track, number, data[number % 97], 1000 + number * 0.02)
        for number in range(count // 2)
        for track in ("agent", "customer")
    ]


def record(folder: str) -> Plan:
    """graphs/record.yaml, writing into ``folder``."""
    return compile_graph(load(ROOT / "graphs" / "record.yaml", [f"wav.path={folder}/{{flow}}.wav"]))


def flow_start(rounds: int) -> tuple[float, float]:
    """Milliseconds of CPU to start and to close a flow of graphs/record.yaml, file included."""
    starts, closes = [], []
    with tempfile.TemporaryDirectory() as folder, _no_gc():
        plan = record(folder)
        for number in range(rounds * 20):
            made: list[Bench] = []
            starts.append(cpu_us(lambda made=made, number=number: made.append(Bench(plan, f"f{number}")), 1000))  # type: ignore[misc]
            push = made[0].flow.push
            for packet in packets(20):
                push(packet)
            closes.append(cpu_us(made[0].end, 1000))
    return median(starts), median(closes)


def nodes(rounds: int) -> dict[int, float]:
    """Microseconds for a chunk to pass so many nodes: a line, if hops cost the same wherever they are."""
    chunk = Audio(np.zeros(PACKET, np.int16), "s16", 8000, "agent", 0)
    pushes = {count: Bench(row(count)).flow.push for count in (0, 5, 10, 15, 20)}
    found: dict[int, list[float]] = {count: [] for count in pushes}

    def pushed(push: Callable[[Audio], None]) -> Callable[[], None]:
        def work() -> None:
            for _ in range(CHUNKS):
                push(chunk)

        return work

    with _no_gc():
        for _ in range(rounds):
            for count, push in pushes.items():
                found[count].append(cpu_us(pushed(push), CHUNKS))
    return {count: median(times) for count, times in found.items()}


def length(minutes: int) -> list[float]:
    """Microseconds for each message in each tenth of a long call through graphs/record.yaml: flat, if nothing grows."""
    tenths = []
    count = minutes * 60 * 100
    call = packets(count)
    with tempfile.TemporaryDirectory() as folder, _no_gc():
        bench = Bench(record(folder))
        push, rebalance = bench.flow.push, bench.pool.rebalance

        def work(part: list[Packet]) -> None:
            for at in range(0, len(part), BURST):
                for packet in part[at : at + BURST]:
                    push(packet)
                rebalance()

        for tenth in range(10):
            part = call[tenth * count // 10 : (tenth + 1) * count // 10]
            tenths.append(cpu_us(lambda part=part: work(part), len(part)))  # type: ignore[misc]
        bench.end()
    return tenths


MICRO: dict[str, Callable[[int], Figure]] = {"hop": hop, "border": border, "chunk": chunk}
"""What the gate compares."""
