"""How flows end: drains, deadlines, stops, results that come late, parts that are opened once."""

import threading
from typing import Any

import pytest

from flowcore import Audio, CannotStart, Config, Emit, Format, Host, Listener, Resource, Sink, Transform, node
from flowcore.engine.clock import SystemClock, VirtualClock
from flowcore.engine.engine import Engine
from flowcore.engine.pool import Strand, ThreadPool
from flowcore.testing import run_plan, tone
from tests.engine.nodes import MONO, Keep, Tones, plan, step
from tests.support.live import PATIENCE


class LaterConfig(Config):
    never: bool = False


@node("later")
class Later(Transform[Audio, Audio, LaterConfig]):
    """Gives every chunk back only when asked to collect after the end, one at each wake."""

    runs = "thread"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.held: list[Audio] = []
        self.flushed = False

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        self.held.append(chunk)

    def flush(self, emit: Emit[Audio]) -> None:
        self.flushed = True
        if not self.config.never:
            self.wake()

    def busy(self) -> bool:
        return bool(self.held)

    def collect(self, emit: Emit[Audio]) -> None:
        if self.flushed and self.held and not self.config.never:
            emit(self.held.pop(0))
            self.wake()


def test_the_end_of_the_stream_waits_for_results_that_come_later():
    Keep.kept.clear()
    run_plan(plan(step("call", Tones), step("slow", Later, "call"), step("end", Keep, "slow")))
    (kept,) = Keep.kept.values()
    assert [item.start for item in kept if not isinstance(item, str)] == [160 * n for n in range(50)]
    assert kept[-2:] == ["flush", "close"]


def test_a_flow_that_was_given_up_lets_go_of_its_nodes_once_they_are_closed():
    flows = []
    steps = [step("call", Tones, sessions=2), step("slow", Later, "call", never=True)]
    run_plan(
        plan(*steps, step("end", Keep, "slow")), drain=3, prepare=lambda engine: engine.on_closed.append(flows.append)
    )
    assert [flow.reason for flow in flows] == ["drain_deadline"] * 2
    assert [(flow.runs, flow.chains) for flow in flows] == [({}, [])] * 2


def test_a_node_that_never_finishes_is_named_at_the_deadline_and_the_flow_ends_anyway():
    Keep.kept.clear()
    steps = [step("call", Tones), step("slow", Later, "call", never=True), step("other", Keep, "call")]
    result = run_plan(plan(*steps, step("end", Keep, "slow", key="end")), drain=3)
    assert result.flows[0].reason == "drain_deadline"
    assert {event.node for event in result.named("hangs")} == {"slow"}
    assert 3 <= result.seconds < 3.1
    other, end = (Keep.kept[name] for name in sorted(Keep.kept))
    assert other[-2:] == ["flush", "close"]
    assert end == ["open", "close"]


class EndlessConfig(Config):
    stop_at: float = 5.0


@node("endless")
class Endless(Listener[Audio, EndlessConfig]):
    """Sessions that end only when the engine ends them."""

    @classmethod
    def gives(cls, config: Any) -> Format:
        return MONO

    async def run(self, host: Host) -> None:
        inlets = [host.accept({}) for _ in range(3)]
        second = tone("1s")
        began = host.now()
        while not all(inlet.ended for inlet in inlets):
            for inlet in inlets:
                inlet.push(second[0])
            await host.sleep(0.02)
            if host.now() - began >= self.config.stop_at:
                host.stop()  # type: ignore[attr-defined]  # the engine itself, as a signal handler has it


def test_stop_drains_all_flows():
    Keep.kept.clear()
    result = run_plan(plan(step("call", Endless), step("end", Keep, "call")))
    assert [flow.reason for flow in result.flows] == ["stopping"] * 3
    assert all(kept[-2:] == ["flush", "close"] for kept in Keep.kept.values())


class Model(Resource):
    """Counts how often it is opened and closed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[str] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def open(self) -> None:
        if self.name == "missing":
            raise CannotStart("there is no such model: choose another", field="model")
        if self.name == "mistaken":
            len(1)  # type: ignore[arg-type]
        self.calls.append("open")

    def close(self) -> None:
        self.calls.append("close")


class UsesModelConfig(Config):
    model: str = "tiny"


@node("uses_model")
class UsesModel(Sink[Audio, UsesModelConfig]):
    """Notes which part it was given."""

    seen: set[int] = set()
    models: list[Model] = []

    @classmethod
    def make_resource(cls, config: Any) -> Resource:
        return Model(config.model)

    def process(self, chunk: Audio) -> None:
        if id(self.resource) not in self.seen:
            self.seen.add(id(self.resource))
            self.models.append(self.resource)


def test_equal_parts_are_opened_once_for_all_flows_and_closed_last():
    UsesModel.seen.clear()
    UsesModel.models.clear()
    steps = [step("call", Tones, sessions=5), step("a", UsesModel, "call"), step("b", UsesModel, "call")]
    run_plan(plan(*steps, step("c", UsesModel, "call", model="large")))
    assert sorted(model.name for model in UsesModel.models) == ["large", "tiny"]
    assert all(model.calls == ["open", "close"] for model in UsesModel.models)


def test_a_mistake_in_a_part_is_told_with_the_line_that_made_it():
    with pytest.raises(CannotStart, match=r"^a: TypeError: .*: test_ends.py:\d+, in open: len\(1\)"):
        run_plan(plan(step("call", Tones), step("a", UsesModel, "call", model="mistaken")))


def test_a_part_that_cannot_open_ends_the_start_with_the_nodes_name():
    with pytest.raises(CannotStart, match=r"^a\.model: there is no such model"):
        run_plan(plan(step("call", Tones), step("a", UsesModel, "call", model="missing")))


def test_virtual_hours_pass_in_no_time_and_sleepers_wake_in_order():
    import asyncio

    clock = VirtualClock()
    woke: list[tuple[str, float]] = []

    async def sleeper(name: str, hours: float) -> None:
        await clock.sleep_until(1000 + 3600 * hours)
        woke.append((name, clock.now()))

    async def main() -> None:
        await asyncio.gather(sleeper("late", 48), sleeper("early", 1), sleeper("mid", 24))

    clock.run(main())
    assert woke == [("early", 4600.0), ("mid", 87400.0), ("late", 173800.0)]


class Stuck:
    """Work that hangs until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.done = threading.Event()

    def work(self) -> None:
        self.let_go.wait(PATIENCE)
        self.done.set()

    def has_work(self) -> bool:
        return False


def test_a_stuck_strand_holds_up_nobody_else():
    pool = ThreadPool()
    stuck, fine = Stuck(), Stuck()
    fine.let_go.set()
    hanging = Strand(pool, stuck)
    hanging.ready()
    pool.wake()
    while not hanging.thread:
        pass
    Strand(pool, fine).ready()
    while not fine.done.wait(0.01):
        pool.rebalance()  # what the slots do
    assert pool.threads == 2
    assert "let_go.wait" in hanging.stack()
    stuck.let_go.set()
    assert stuck.done.wait(PATIENCE)
    pool.close()


def test_a_system_that_gives_no_more_threads_ends_nothing():
    pool = ThreadPool()
    fine = Stuck()
    fine.let_go.set()
    usual = threading.stack_size(1 << 46)  # more than any machine has
    try:
        Strand(pool, fine).ready()
        pool.rebalance()
        assert pool.threads == 0
    finally:
        threading.stack_size(usual)
    pool.rebalance()
    assert fine.done.wait(PATIENCE)
    pool.close()


class Counter:
    """Work that notes when two threads are in it at once."""

    def __init__(self) -> None:
        self.todo = 0
        self.inside = 0
        self.collisions = 0
        self.ran = 0

    def work(self) -> None:
        self.inside += 1
        self.collisions += self.inside > 1
        self.ran += 1
        self.inside -= 1

    def has_work(self) -> bool:
        return False


def test_a_strand_is_never_in_two_threads_at_once():
    pool = ThreadPool()
    work = Counter()
    strand = Strand(pool, work)

    def hammer() -> None:
        for _ in range(3000):
            strand.ready()
            pool.wake()

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert work.collisions == 0
    assert work.ran > 0
    pool.close()


def test_an_engine_on_the_real_clock_and_real_threads_keeps_the_same_books():
    import asyncio

    from tests.engine.nodes import KeepInThread

    Keep.kept.clear()
    engine = Engine(
        plan(step("call", Tones, sessions=20, length="3s"), step("end", KeepInThread, "call")), clock=SystemClock()
    )
    broken: list[Any] = []
    engine.bus.subscribe(lambda event: broken.append(event) if event.name == "law_broken" else None)
    asyncio.run(engine.run())
    assert engine.totals.flows == 20
    assert not broken
    assert all(len(kept) == 153 and kept[-2:] == ["flush", "close"] for kept in Keep.kept.values())
