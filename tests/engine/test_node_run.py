"""Probes of a running node: what they see, when they take their place, and what they leave behind."""

from collections.abc import Callable
from typing import Any

import pytest

from flowcore import Audio, Emit, Transform, node
from flowcore.engine.engine import Engine
from flowcore.engine.flow import Flow
from flowcore.testing import VirtualPool, run_plan, tone
from tests.bench import micro
from tests.engine.nodes import Broken, Double, Halves, Keep, KeepInThread, Tones, plan, step

STEPS = (
    step("call", Tones, pace=True),
    step("twice", Double, "call"),
    step("halves", Halves, "twice"),
    step("left", Keep, "halves.left", key="left"),
    step("right", KeepInThread, "halves.right", key="right"),
)
"""A call of 50 chunks; `Double` holds one back until the end."""
PLACES = (("call", 0), ("twice", 0), ("halves", 0), ("halves", 1), ("left", 0), ("right", 0))


@pytest.fixture(autouse=True)
def fresh() -> None:
    Keep.kept.clear()


class Probes:
    """Probes at several places of each flow, and the starts of the chunks that they saw."""

    def __init__(self, *places: tuple[str, int]) -> None:
        self.seen: dict[tuple[str, int], list[int]] = {place: [] for place in places}
        self._takers: dict[tuple[str, int], Callable[[Any], None]] = {
            place: lambda chunk, seen=seen: seen.append(chunk.start)  # type: ignore[misc]
            for place, seen in self.seen.items()
        }

    def add(self, flow: Flow) -> None:
        for (name, port), take in self._takers.items():
            flow.runs[name].add_probe(port, take)

    def remove(self, flow: Flow) -> None:
        for (name, port), take in self._takers.items():
            flow.runs[name].remove_probe(port, take)

    def placed(self, flow: Flow) -> list[bool]:
        return [flow.runs[name].has_probe(port, take) for (name, port), take in self._takers.items()]


def state_of(flow: Flow) -> Any:
    """All that a probe could have changed."""
    return [(run.work, tuple(run.emits), [hop.emit for hop in run._inlets]) for run in flow.runs.values()], flow.push


def kept(key: str = "") -> list[int]:
    return [one.start for one in Keep.kept[f"20260102T030405-flow1{key}"] if isinstance(one, Audio)]


def in_slots(steps: dict[int, Callable[[Flow], None]]) -> Callable[[Engine], None]:
    """For ``prepare``: calls each step with the one flow, at the beginning of the slot of its number."""

    def prepare(engine: Engine) -> None:
        def poll() -> None:
            if engine.slots.count in steps:
                steps.pop(engine.slots.count)(next(iter(engine.flows.values())))

        engine.slots.every(poll)

    return prepare


def test_probes_added_at_the_opening_see_every_chunk() -> None:
    probes = Probes(*PLACES)
    run_plan(plan(*STEPS), prepare=lambda engine: engine.on_opened.append(probes.add))
    starts = [160 * number for number in range(50)]
    assert probes.seen["call", 0] == probes.seen["twice", 0] == starts
    assert probes.seen["halves", 0] == probes.seen["left", 0] == kept("left") == starts[::2]
    assert probes.seen["halves", 1] == probes.seen["right", 0] == kept("right") == starts[1::2]


@pytest.mark.parametrize("pool", [None, VirtualPool])
def test_a_probe_takes_its_place_at_the_end_of_a_slot_and_leaves_no_trace(pool: Any) -> None:
    probes, states, placed = Probes(*PLACES), [], []
    steps = {
        10: lambda flow: (states.append(state_of(flow)), probes.add(flow), placed.append(probes.placed(flow))),
        12: lambda flow: (states.append(state_of(flow)), placed.append(probes.placed(flow)), probes.remove(flow)),
        30: lambda flow: states.append(state_of(flow)),
    }
    run_plan(plan(*STEPS), prepare=in_slots(steps), **({"pool": pool()} if pool else {}))  # type: ignore[arg-type]
    assert placed == [[False] * 6, [True] * 6]
    assert states[0] == states[2] != states[1]
    assert all(1 <= len(seen) <= 3 for seen in probes.seen.values())
    assert kept("left") + kept("right")  # which went on all the while
    assert len(kept("left") + kept("right")) == 50


def test_a_probe_stays_when_its_node_is_restarted() -> None:
    probes = Probes(("bad", 0), ("end", 0))
    steps = [step("call", Tones, length="5s", pace=True), step("bad", Broken, "call", at=30, on_error="restart")]
    steps.append(step("end", Keep, "bad", fail_at=70, on_error="restart"))
    result = run_plan(plan(*steps), prepare=lambda engine: engine.on_opened.append(probes.add))
    failed = [event.node for event in result.named("node_failed")]
    assert failed.count("bad") > 1
    assert failed.count("end") >= 1
    assert len(probes.seen["bad", 0]) == result.flows[0].stats["bad"].left.chunks
    assert set(kept()) < set(probes.seen["end", 0])
    assert len(probes.seen["end", 0]) == len(kept()) + failed.count("end")


def test_a_probe_asked_for_after_the_end_changes_nothing_and_the_late_are_still_counted() -> None:
    probes = Probes(*PLACES[:5])  # the chain behind the border has not ended yet

    def end(flow: Flow) -> None:
        flow.end("test")
        probes.add(flow)
        flow.push(tone("20ms")[0])

    result = run_plan(plan(*STEPS), prepare=in_slots({5: end}))
    assert result.flows[0].stats["call"].dropped["after_end"].chunks
    assert not any(probes.seen.values())


@node("takes_time")
class TakesTime(Transform[Audio, Audio]):
    """Takes 1 s of a clock that only it moves, of which half before it emits."""

    seconds = 0.0

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        TakesTime.seconds += 0.5
        emit(chunk)
        TakesTime.seconds += 0.5


def test_a_nodes_own_time_excludes_the_nodes_that_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowcore.engine.node_run.perf_counter", lambda: TakesTime.seconds)
    steps = [step("call", Tones), step("a", TakesTime, "call"), step("b", TakesTime, "a"), step("end", Keep, "b")]
    bench = micro.Bench(plan(*steps))
    bench.flow.sampler.on = True
    for chunk in tone("100ms"):
        bench.flow.push(chunk)
    bench.end()
    own = {name: stats.own / bench.flow.sampler.every for name, stats in bench.flow.stats().items()}
    assert own == {"call": 0.0, "a": 5.0, "b": 5.0, "end": 0.0}


def test_what_a_probe_costs(record_property: Any) -> None:
    """Measured, and not judged: see docs/decisions/0031."""
    chunk = tone("20ms")[0]
    flow = micro.Bench(micro.row(1)).flow
    taken: list[Any] = []

    def cost() -> float:
        def work() -> None:
            push = flow.push
            for _ in range(micro.CHUNKS):
                push(chunk)

        return min(micro.cpu_us(work, micro.CHUNKS) for _ in range(5))

    bare = cost()
    flow.runs["nop0"].add_probe(0, taken.append)
    flow.runs["nop0"].collect()
    figure = cost() - bare
    assert len(taken) == micro.CHUNKS * 5
    record_property("figure", f"a probe costs {figure:.2f} µs a chunk")
