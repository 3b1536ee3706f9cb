"""Run one listener on a virtual clock, and collect its sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from flowcore.graph.plan import Plan, PlanListener, PlanNode
from flowcore.listener import Listener
from flowcore.node import Config, Node, Session, Sink
from flowcore.testing.graphs import run_plan


@dataclass
class Received:
    """A session, the chunks that it pushed, and the reason why it ended."""

    session: Session
    chunks: list[Any] = field(default_factory=list)
    reason: str = ""


class _CollectingSink(Sink[Any]):
    sessions: ClassVar[list[Received]]

    def open(self, session: Session) -> None:
        self._received = Received(session)
        self.sessions.append(self._received)

    def process(self, chunk: Any) -> None:
        self._received.chunks.append(chunk)


def collecting_sink(sessions: list[Received]) -> type[Node[Any]]:
    """Return a sink class that appends a `Received` to ``sessions`` for each session of the graph."""
    return type("CollectingSink", (_CollectingSink,), {"sessions": sessions, "name": "collect"})


def run_listener(
    cls: type[Listener[Any, Any]], config: Mapping[str, Any] | None = None, **options: Any
) -> list[Received]:
    """Run a listener on a virtual clock until it has no more sessions, and return these in order.

    ``options`` are those of `flowcore.engine.engine.Engine`: ``calls=1`` ends a listener that would go on.
    """
    sessions: list[Received] = []
    made = cls.Config(**(config or {}))
    form = cls.gives(made)
    plan = {
        "listener": PlanListener("listener", cls, made, (), None, (form,), None, "fail_flow", 0),
        "collect": PlanNode(
            "collect", collecting_sink(sessions), Config(), (("listener", 0),), form, (), None, "fail_flow", 0
        ),
    }
    reasons = {flow.id: flow.reason for flow in run_plan(Plan("test", plan), **options).flows}
    for received in sessions:
        received.reason = reasons[received.session.flow]
    return sessions
