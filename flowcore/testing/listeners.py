"""One listener on a virtual clock, and what its sessions bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from flowcore.graph.plan import Plan, PlanListener, PlanNode
from flowcore.node import Config, Listener, Node, Session, Sink
from flowcore.testing.graphs import run_plan


@dataclass
class Heard:
    """One session: who, what it brought, and why it ended."""

    session: Session
    chunks: list[Any] = field(default_factory=list)
    reason: str = ""


class _Keep(Sink[Any]):
    kept: ClassVar[list[Heard]]

    def open(self, session: Session) -> None:
        self._mine = Heard(session)
        self.kept.append(self._mine)

    def process(self, chunk: Any) -> None:
        self._mine.chunks.append(chunk)


def keeper(kept: list[Heard]) -> type[Node[Any]]:
    """A sink that keeps all it gets in ``kept``, one `Heard` for each session."""
    return type("Keep", (_Keep,), {"kept": kept, "name": "keep"})


def hear(cls: type[Listener[Any, Any]], config: Mapping[str, Any] | None = None, **options: Any) -> list[Heard]:
    """Run a listener on a virtual clock until it has no more sessions; what each of them brought, in order.

    ``options`` go to the `flowcore.engine.engine.Engine`: ``calls=1`` ends a listener that would go on.
    """
    kept: list[Heard] = []
    made = cls.Config(**(config or {}))
    form = cls.gives(made)
    plan = {
        "listener": PlanListener("listener", cls, made, (), None, (form,), None, "fail_flow", 0),
        "keep": PlanNode("keep", keeper(kept), Config(), (("listener", 0),), form, (), None, "fail_flow", 0),
    }
    reasons = {flow.id: flow.reason for flow in run_plan(Plan("test", plan), **options).flows}
    for heard in kept:
        heard.reason = reasons[heard.session.flow]
    return kept
