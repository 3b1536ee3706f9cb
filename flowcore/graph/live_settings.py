"""Changes of live fields: a plan with other settings, checked as ``flowcore run --set`` checks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flowcore.diagnostics import Position, listed
from flowcore.graph.load import load_text
from flowcore.graph.model import Graph
from flowcore.graph.negotiate import compile_graph
from flowcore.graph.plan import Plan, PlanNode
from flowcore.graph.problems import Problems
from flowcore.listener import Listener
from flowcore.live import changed_fields, live_fields


def with_settings(plan: Plan, settings: Sequence[str]) -> Plan:
    """Return ``plan`` with other values of live fields; ``settings`` are ``node.key=value``, in any order.

    Raises `GraphError` with every problem: what ``flowcore check`` finds, and fields that are not live.
    """
    path, sources = plan.name, plan.sources
    graph = load_text(sources[path], path, _merged(plan.settings, settings), others=sources)
    changed = compile_graph(graph)
    problems = Problems(path, graph.source, graph.subgraphs)
    for name, node in changed.nodes.items():
        _check(plan.nodes.get(name), node, graph, problems)
    problems.raise_if_any()
    # What is the same stays the same object: that tells at once, for each of many flows, which nodes do not change.
    nodes = {name: plan.nodes[name] if plan.nodes[name] == node else node for name, node in changed.nodes.items()}
    return replace(changed, nodes=nodes)


def _merged(before: Sequence[str], settings: Sequence[str]) -> list[str]:
    """Return both, without those before of which the key comes again: changes do not pile up."""
    keys = {setting.partition("=")[0] for setting in settings}
    return [*(setting for setting in before if setting.partition("=")[0] not in keys), *settings]


def _check(before: PlanNode | None, node: PlanNode, graph: Graph, problems: Problems) -> None:
    found = graph.nodes.get(node.name)
    at = found.at if found else Position(1, 1)
    live = [] if issubclass(node.cls, Listener) else live_fields(node.cls.Config)
    if before is None or replace(before, config=node.config) != node:
        problems.add("needs-reload", f"{node.name} would work in another way", at, _help(node.name, live))
        return
    for field in changed_fields(before.config, node.config):
        if field not in live:
            place = found.places.get(f"with.{field}", at) if found else at
            message = f"{field} of {node.name} ({node.cls.name}) stays as it is during a call"
            problems.add("needs-reload", message, place, _help(node.name, live))


def _help(name: str, live: Sequence[str]) -> str:
    reload = "write it into the graph and run  flowcore reload: new calls get it"
    return f"{reload}; live are {listed([f'{name}.{field}' for field in live])}" if live else reload
