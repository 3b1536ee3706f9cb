"""Checks whether a plan can take the place of another in a running process."""

from __future__ import annotations

from collections.abc import Mapping

from flowcore.diagnostics import Position
from flowcore.graph.model import Graph
from flowcore.graph.plan import Plan
from flowcore.graph.problems import Problems
from flowcore.resource import Resource

HELP = "restart flowcore for that; nothing was changed"


def check_replacement(running: Plan, graph: Graph, plan: Plan) -> None:
    """Raise `GraphError` for each difference from ``running`` in what lasts as long as the process.

    That is the listener with its port and its settings, and each resource that is ``lasting``. ``plan`` is the one of
    ``graph``.
    """
    problems = Problems(graph.path, graph.source, graph.subgraphs)
    old, new = running.listener, plan.listener
    node = graph.nodes[new.name]
    if (new.name, new.cls) != (old.name, old.cls):
        message = f"{old.name} ({old.cls.name}) and its code stay as they are while the process runs"
        problems.add("needs-restart", message, node.places.get("use", node.at), HELP)
    else:
        values = dict(old.config)
        for name in (name for name, value in new.config if value != values[name]):
            at = node.places.get(f"with.{name}", node.at)
            problems.add("needs-restart", f"{name} of {new.name} stays as it is while the process runs", at, HELP)
    kept, wanted = _lasting(running), _lasting(plan)
    for name in wanted.keys() | kept.keys():
        if kept.get(name) != wanted.get(name):
            at = graph.nodes[name].at if name in graph.nodes else Position(1, 1)
            message = f"{name} is served on the port of {old.name} as it was when the process started"
            problems.add("needs-restart", message, at, HELP)
    problems.raise_if_any()


def _lasting(plan: Plan) -> Mapping[str, Resource]:
    resources = {node.name: node.cls.make_resource(node.config) for node in plan.nodes.values()}
    return {name: resource for name, resource in resources.items() if resource is not None and resource.lasting}
