"""Run a whole graph on a virtual clock, in one thread: hours take milliseconds and have one possible outcome."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowcore.engine.bus import Event
from flowcore.engine.clock import VirtualClock
from flowcore.engine.engine import Engine
from flowcore.engine.pool import InlinePool
from flowcore.engine.stats import NodeStats
from flowcore.errors import AccountingError, NodeFailed
from flowcore.graph import compile_graph, load_graph
from flowcore.graph.plan import Plan


@dataclass(frozen=True)
class GraphResult:
    """Result of a run: flows in the order in which they closed, all events, and the engine with its totals."""

    engine: Engine
    events: list[Event]
    flows: list[FlowResult]
    seconds: float

    def named(self, name: str) -> list[Event]:
        """Return the events of one name."""
        return [event for event in self.events if event.name == name]


@dataclass(frozen=True)
class FlowResult:
    """One closed flow: why it ended, which nodes failed, and the counters of each node."""

    id: str
    reason: str
    failures: tuple[NodeFailed, ...]
    stats: Mapping[str, NodeStats]


def run_plan(plan: Plan, **options: Any) -> GraphResult:
    """Run a plan on a virtual clock, in this thread, until its listener has no more sessions.

    ``options`` are those of the `Engine`; with ``pool=VirtualPool()`` nodes behind borders may take time. ``prepare``
    is called with the engine before it runs. Raises `AccountingError` if the counters of a flow do not balance,
    `Undeclared` for an event or reason that a node does not declare, and the errors of `Engine.run`.
    """
    prepare: Callable[[Engine], None] = options.pop("prepare", lambda engine: None)
    clock = options.pop("clock", None) or VirtualClock()
    numbers = itertools.count(1)
    began = clock.now()

    async def main() -> GraphResult:
        options.setdefault("new_id", lambda: f"flow{next(numbers)}")
        options.setdefault("pool", InlinePool())
        options.setdefault("strict", True)
        engine = Engine(plan, clock=clock, **options)
        events: list[Event] = []
        flows: list[FlowResult] = []
        engine.bus.subscribe(events.append)
        engine.on_closed.append(
            lambda flow: flows.append(FlowResult(flow.id, flow.reason, tuple(flow.failures), flow.stats()))
        )
        prepare(engine)
        await engine.run()
        return GraphResult(engine, events, flows, clock.now() - began)

    result = clock.run(main())
    for event in result.named("flow_unbalanced"):
        raise AccountingError(event.data["detail"])
    return result


def run_graph(path: str | Path, settings: Iterable[str] = (), **options: Any) -> GraphResult:
    """Load a graph file, set ``settings`` (``node.key=value``) and run it: see `run_plan`."""
    return run_plan(compile_graph(load_graph(path, list(settings))), **options)
