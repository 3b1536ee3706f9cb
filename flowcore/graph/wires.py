"""Checks the wires between nodes: each input has an output, one listener begins, every branch ends in a sink."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush

from flowcore.diagnostics import Position, closest, did_you_mean, listed
from flowcore.graph.model import Input
from flowcore.graph.node_parser import ParsedNode
from flowcore.graph.problems import Problems
from flowcore.listener import Listener
from flowcore.node import Demux, Sink


def check(
    nodes: Mapping[str, ParsedNode], at: Position, problems: Problems, subgraphs: Collection[str] = ()
) -> list[str]:
    """Report wrong wires; return the names in topological order, file order among equals.

    ``at`` is the position at which a missing listener is shown; ``subgraphs`` are the names of sub-graph uses.
    """
    _listeners(nodes, at, problems)
    used: set[str] = set()
    for node in nodes.values():
        if problems.full:
            return []
        for wire in node.inputs or ():
            used.add(_upstream(wire, node.name, nodes, problems, subgraphs))
    readable = all(node.inputs is not None for node in nodes.values())
    for node in nodes.values():
        sink = node.cls is None or issubclass(node.cls, Sink)
        if readable and not sink and node.name not in used:
            help = "let a sink take from it, or remove it"
            problems.add("dead-end", f"{node.name} leads nowhere: no node takes what it gives", node.at, help)
    return _ordered(nodes, problems)


def _listeners(nodes: Mapping[str, ParsedNode], at: Position, problems: Problems) -> None:
    """Check that exactly one node is a listener, that it has no input, and that all others have one."""
    listeners = [node for node in nodes.values() if node.cls and issubclass(node.cls, Listener)]
    for node in listeners[1:]:
        message = f"{node.name} is a second listener, after {listeners[0].name}: a graph has one"
        problems.add("two-listeners", message, node.places["use"], "make two graphs of it")
    for node in nodes.values():
        listens = node.cls is not None and issubclass(node.cls, Listener)
        if listens and node.inputs:
            message = f"{node.name} accepts calls, so nothing comes before it"
            problems.add("listener-with-from", message, node.places["from"], "remove from")
        elif node.cls is not None and not listens and node.inputs == []:
            message = f"{node.name} does not say which node it takes its input from"
            problems.add("missing-from", message, node.at, "add  from: NODE")
    # A node without input whose type is unknown is probably the listener.
    if not listeners and not any(node.cls is None and not node.inputs for node in nodes.values()):
        help = "begin with one, for example  call: {use: ringcx}"
        problems.add("no-listener", "no node accepts calls", at, help)


def _upstream(
    wire: Input, reader: str, nodes: Mapping[str, ParsedNode], problems: Problems, subgraphs: Collection[str]
) -> str:
    """Check one input of the node ``reader``; return the name of its node, or of the most similar one."""
    upstream = nodes.get(wire.node)
    if upstream is None:
        # Names as the file writes them: inside a sub-graph, without the name of its use.
        prefix = reader[: reader.rfind(".") + 1] if wire.at.path else ""
        known = [name[len(prefix) :] for name in (*nodes, *subgraphs) if name.startswith(prefix)]
        known = [name for name in known if "." not in name]
        name = wire.node.removeprefix(prefix)
        help = did_you_mean(name, known, f"the nodes are {listed(known[:20])}")
        file = "this sub-graph" if prefix else "this graph"
        problems.add("unknown-upstream", f'there is no node "{name}" in {file}', wire.at, help)
        return prefix + (closest(name, known) or "")
    if upstream.cls is None:
        return wire.node
    ports = upstream.cls.outputs if issubclass(upstream.cls, Demux) else ()
    if issubclass(upstream.cls, Sink):
        message = f"{wire.node} ({upstream.cls.name}) is a sink: nothing comes out of it"
        problems.add("sink-as-upstream", message, wire.at)
    elif wire.port and not ports:
        message = f'{wire.node} has one output, not "{wire.port}"'
        problems.add("unknown-port", message, wire.at, f"write  from: {wire.node}")
    elif wire.port and wire.port not in ports:
        choice = f"it has {listed(ports)}"
        message = f'{wire.node} has no output "{wire.port}"'
        problems.add("unknown-port", message, wire.at, did_you_mean(wire.port, ports, choice))
    elif ports and not wire.port:
        choice = listed([f"{wire.node}.{port}" for port in ports], "or")
        problems.add("missing-port", f"{wire.node} has several outputs", wire.at, f"write  from: {choice}")
    return wire.node


def _ordered(nodes: Mapping[str, ParsedNode], problems: Problems) -> list[str]:
    """Topological order, file order among equals; each cycle is reported, and then cut out."""
    number = {name: place for place, name in enumerate(nodes)}
    before = {name: [wire for wire in node.inputs or () if wire.node in nodes] for name, node in nodes.items()}
    while not problems.full:
        sorter = TopologicalSorter({name: [wire.node for wire in wires] for name, wires in before.items()})
        try:
            sorter.prepare()
        except CycleError as error:
            cycle = error.args[1][1:]  # in the direction of the chunks
            first = cycle.index(min(cycle, key=number.__getitem__))
            cycle = cycle[first:] + cycle[:first]
            path = " → ".join([*cycle, cycle[0]])
            wire = next(wire for wire in before[cycle[0]] if wire.node == cycle[-1])
            problems.add("cycle", f"these nodes wait for each other: {path}", wire.at)
            before |= {name: [] for name in cycle}
        else:
            return list(_in_order(sorter, number))
    return []


def _in_order(sorter: TopologicalSorter[str], number: Mapping[str, int]) -> Iterator[str]:
    ready: list[tuple[int, str]] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heappush(ready, (number[name], name))
        name = heappop(ready)[1]
        yield name
        sorter.done(name)
