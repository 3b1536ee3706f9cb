"""Resources: equal ones are opened once, and one that cannot open or close is reported with its node."""

from typing import Any

import pytest

from flowcore import Audio, CannotStart, Config, Resource, Sink, node
from flowcore.testing import run_plan
from tests.engine.nodes import Tones, plan, step


class UsesModelConfig(Config):
    model: str = "tiny"


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
        if self.name == "unwilling":
            raise OSError("it will not close")


@node("uses_model")
class UsesModel(Sink[Audio, UsesModelConfig]):
    """Notes which resource it was given."""

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
    with pytest.raises(CannotStart, match=r"^a: TypeError: .*: test_resources.py:\d+, in open: len\(1\)"):
        run_plan(plan(step("call", Tones), step("a", UsesModel, "call", model="mistaken")))


def test_a_resource_that_cannot_open_ends_the_start_with_the_nodes_name():
    with pytest.raises(CannotStart, match=r"^a\.model: there is no such model"):
        run_plan(plan(step("call", Tones), step("a", UsesModel, "call", model="missing")))


def test_a_resource_that_raises_in_close_is_reported_and_the_others_are_closed():
    UsesModel.seen.clear()
    UsesModel.models.clear()
    steps = [step("call", Tones), step("a", UsesModel, "call"), step("b", UsesModel, "call", model="unwilling")]
    result = run_plan(plan(*steps))
    (failed,) = result.named("resource_failed")
    assert (failed.node, str(failed.data["cause"])) == ("b", "it will not close")
    assert result.engine.totals.failed == 1
    assert all(model.calls == ["open", "close"] for model in UsesModel.models)
