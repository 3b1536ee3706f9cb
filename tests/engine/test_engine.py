"""The engine: resources opened once, stops, the end after so many calls, and real clocks and threads."""

from typing import Any

import pytest

from flowcore import Audio, CannotStart, Config, Format, Host, Listener, Resource, Sink, node
from flowcore.engine.clock import SystemClock
from flowcore.engine.engine import Engine
from flowcore.testing import run_plan, tone
from tests.engine.nodes import MONO, Keep, Tones, plan, step


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


@pytest.mark.fault(35)
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


def test_equal_resources_are_opened_once_for_all_flows_and_closed_last():
    UsesModel.seen.clear()
    UsesModel.models.clear()
    steps = [step("call", Tones, sessions=5), step("a", UsesModel, "call"), step("b", UsesModel, "call")]
    run_plan(plan(*steps, step("c", UsesModel, "call", model="large")))
    assert sorted(model.name for model in UsesModel.models) == ["large", "tiny"]
    assert all(model.calls == ["open", "close"] for model in UsesModel.models)


def test_an_exception_of_a_resource_is_reported_with_its_line():
    with pytest.raises(CannotStart, match=r"^a: TypeError: .*: test_engine.py:\d+, in open: len\(1\)"):
        run_plan(plan(step("call", Tones), step("a", UsesModel, "call", model="mistaken")))


def test_a_resource_that_cannot_open_ends_the_start_with_the_nodes_name():
    with pytest.raises(CannotStart, match=r"^a\.model: there is no such model"):
        run_plan(plan(step("call", Tones), step("a", UsesModel, "call", model="missing")))


def test_an_engine_on_the_real_clock_and_real_threads_has_the_same_counters():
    import asyncio

    from tests.engine.nodes import KeepInThread

    Keep.kept.clear()
    engine = Engine(
        plan(step("call", Tones, sessions=20, length="3s"), step("end", KeepInThread, "call")), clock=SystemClock()
    )
    broken: list[Any] = []
    engine.bus.subscribe(lambda event: broken.append(event) if event.name == "flow_unbalanced" else None)
    asyncio.run(engine.run())
    assert engine.totals.flows == 20
    assert not broken
    assert all(len(kept) == 153 and kept[-2:] == ["flush", "close"] for kept in Keep.kept.values())


def test_calls_ends_the_engine_after_that_many_flows():
    result = run_plan(plan(step("call", Tones, sessions=3), step("end", Keep, "call")), calls=2)
    assert len(result.flows) == 3
