"""Versions: flows keep theirs, equal resources are opened once, and others live until their last flow has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowcore import Audio, CannotStart, Format, Host, Listener, node
from flowcore.engine.engine import Engine
from flowcore.testing import run_plan, tone
from tests.engine.nodes import MONO, plan, step
from tests.engine.test_resources import Model, UsesModel


@node("directed")
class Directed(Listener[Audio]):
    """Runs the coroutine of a test, which gets the engine."""

    story: Any = None

    @classmethod
    def gives(cls, config: Any) -> Format:
        return MONO

    async def run(self, host: Host) -> None:
        await type(self).story(host)


def graph(model: str, other: str = "tiny") -> Any:
    steps = [
        step("call", Directed),
        step("a", UsesModel, "call", model=model),
        step("b", UsesModel, "call", model=other),
    ]
    return plan(*steps)


def opened(engine: Any) -> dict[str, Model]:
    return {model.name: model for model in engine.resources()}


async def until(engine: Engine, condition: Callable[[], bool]) -> None:
    """Let flows end, and the thread that closes resources run."""
    while not condition():
        await engine.slot()


async def change(engine: Engine, model: str) -> None:
    await engine.prepare(graph(model), engine.version.number + 1)
    engine.activate()


def told(story: Any) -> Any:
    Directed.story = staticmethod(story)
    return run_plan(graph("first"))


def test_new_flows_get_the_new_plan_and_old_ones_keep_theirs_with_their_resources():
    async def story(engine: Any) -> None:
        old = engine.accept({})
        models = opened(engine)
        await change(engine, "second")
        new = engine.accept({})
        models |= opened(engine)
        assert (str(old.version)[0], str(new.version)[0]) == ("1", "2")
        old.push(tone("20ms")[0])
        new.push(tone("20ms")[0])
        assert models["first"].calls == ["open"]
        old.end("done")
        await until(engine, lambda: models["first"].calls[-1] == "close")
        assert (models["tiny"].calls, models["second"].calls) == (["open"], ["open"])
        assert set(opened(engine)) == {"tiny", "second"}
        new.end("done")

    assert [str(event.data["version"])[0] for event in told(story).named("flow_closed")] == ["1", "2"]


def test_a_version_without_flows_ends_at_once_and_one_between_two_others_too():
    async def story(engine: Any) -> None:
        flow = engine.accept({})
        models = opened(engine)
        await change(engine, "second")
        models |= opened(engine)
        await change(engine, "third")
        await until(engine, lambda: models["second"].calls[-1] == "close")
        assert models["first"].calls == ["open"]
        flow.end("done")
        await until(engine, lambda: models["first"].calls[-1] == "close")
        assert set(opened(engine)) == {"tiny", "third"}

    told(story)


def test_a_version_whose_resource_cannot_be_opened_leaves_nothing_behind():
    async def story(engine: Any) -> None:
        with pytest.raises(CannotStart, match=r"^b\.model: there is no such model"):
            await engine.prepare(graph("second", "missing"), 2)
        flow = engine.accept({})
        assert str(flow.version)[0] == "1"
        await until(engine, lambda: set(opened(engine)) == {"tiny", "first"})
        flow.end("done")

    told(story)
