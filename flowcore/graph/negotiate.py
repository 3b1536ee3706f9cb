"""Compiles a checked graph to a plan: formats are negotiated from the listener down every wire, before anything starts.

Where an output and an input do not match, the shortest row of converters that makes them match is inserted, once for
all inputs that need the same of the same output. Rows of equal length with different results are a problem, never a
choice. Then the graph is cut into chains: a border stands before every node that works in a thread, where the file
asks for a ``queue``, and where streams of several chains meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from flowcore.diagnostics import listed
from flowcore.formats import Caps, Format
from flowcore.graph import advice
from flowcore.graph.conversions import Converter, Row, Step, accepts, gives, installed, is_converter, offers, shortest
from flowcore.graph.model import Graph, GraphNode, Input, OnError, OnFull
from flowcore.graph.plan import BorderPlan, Plan, PlanListener, PlanNode
from flowcore.graph.problems import Problems
from flowcore.graph.waits import ShortWait, short_waits
from flowcore.listener import Listener
from flowcore.node import Node, Sink
from flowcore.registry import describe_error, is_node_error

RECORDER_QUEUE = 30.0
"""Seconds of audio that wait for a slow node which must lose nothing: a disk that stalls recovers within seconds."""
LIVE_QUEUE = 10.0
"""Seconds of audio that wait for a slow node which may lose some."""

Wire = tuple[str, int]

_MEET = {"mono": ("mono", "tracks"), "tracks": ("mono", "tracks"), "": ()}
"""Layouts that may meet a layout: the streams of two parties together have the layout ``tracks``."""


def compile_graph(graph: Graph, converters: Iterable[type[Node]] | None = None) -> Plan:
    """Negotiate formats and cut the graph into chains. Raises `GraphError` with every conflict.

    ``converters`` are the nodes that may be inserted or advised: by default all installed transforms.
    """
    return _Compiler(graph, converters).plan()


class _Compiler:
    def __init__(self, graph: Graph, nodes: Iterable[type[Node]] | None) -> None:
        self.graph = graph
        self.problems = Problems(graph.path, graph.source, graph.subgraphs)
        self.formats: dict[Wire, Format] = {}
        self.done: dict[str, PlanNode] = {}
        self.shared: dict[tuple[tuple[Wire, ...], Step], str] = {}
        self._nodes = None if nodes is None else tuple(nodes)
        self._chains = 0
        self.live = True

    @property
    def nodes(self) -> tuple[type[Node], ...]:
        """The nodes to convert with, imported when a graph first needs one."""
        if self._nodes is None:
            self._nodes = tuple(installed())
        return self._nodes

    @property
    def converters(self) -> list[Converter]:
        return [cls for cls in self.nodes if is_converter(cls)]  # type: ignore[misc]  # only transforms are

    def plan(self) -> Plan:
        for node in self.graph.nodes.values():
            try:
                if issubclass(node.cls, Listener):
                    self._add_listener(node, node.cls)
                else:
                    self._connect(node)
            except (Exception, SystemExit) as error:  # a node's code may raise anything
                if not is_node_error(node.cls, error):
                    raise
                message, trace = describe_error(node.cls, error, self.graph.secrets)
                text = f"{node.name} ({node.cls.name}) cannot say what it takes and gives: {message}"
                self.problems.add("broken-node", text, node.places.get("use", node.at), trace=trace)
        if not len(self.problems):
            for short in short_waits(self.done):
                if short.node.inserted:
                    self._lengthen(short)
                else:
                    self._report_short_wait(short)
        self.problems.raise_if_any()
        graph = self.graph
        sources = {graph.path: graph.source, **graph.subgraphs, **graph.imports}
        return Plan(graph.path, self.done, sources, graph.settings)

    def _add_listener(self, node: GraphNode, cls: type[Listener[Any, Any]]) -> None:
        self.live = cls.live
        gives = self.formats[node.name, 0] = cls.gives(node.config)
        on_error = node.on_error or "fail_flow"
        chain = self._next_chain()
        self.done[node.name] = PlanListener(node.name, cls, node.config, (), None, (gives,), None, on_error, chain)

    def _next_chain(self) -> int:
        self._chains += 1
        return self._chains - 1

    def _connect(self, node: GraphNode) -> None:
        wires = []
        for entry in node.inputs:
            upstream = self.graph.nodes[entry.node]
            wires.append((entry.node, upstream.cls.outputs.index(entry.port) if entry.port else 0))
        if any(wire not in self.formats for wire in wires):
            return  # the node before it has a problem
        reached = self._reach(node, wires)
        if reached is None:
            return
        wires, given = reached
        self._add(node.name, Step(node.cls, node.config), tuple(wires), given, node)
        node.cls.typical_latency(node.config, given)  # reports one that raises, and a latency() that raises
        node.cls.latency(node.config, given)

    def _reach(self, node: GraphNode, wires: list[Wire]) -> tuple[list[Wire], Format] | None:
        """The wires to connect ``node`` to, after conversion, and the format in which they meet.

        Each input is converted by itself, or else the stream of all together: two parties' streams are ``tracks``,
        which a recorder does not accept.
        """
        rows = []
        for number, wire in enumerate(wires):
            row = self._row(self.formats[wire], node)
            if row is None and len(wires) == 1:
                self._mismatch(node, number, self.formats[wire])
                return None
            rows.append(row)
        if all(row is not None for row in rows):
            meet = _merged([row.gives for row in rows if row is not None])
            if meet is not None and accepts(node.cls, node.config, meet):
                return [self._convert((wire,), row) for wire, row in zip(wires, rows, strict=True) if row], meet
        meet = _merged([self.formats[wire] for wire in wires])
        if meet is None:
            self._differ(node, wires)
            return None
        row = self._row(meet, node)
        if row is None:
            self._mismatch(node, len(wires) - 1, meet)
            return None
        return [self._convert(tuple(wires), row)], row.gives

    def _row(self, given: Format, node: GraphNode) -> Row | None:
        """The row of converters to ``node``, empty where none is needed; None when there is none, or a choice."""
        if accepts(node.cls, node.config, given):
            return Row((), given)
        rows = self._rows(given, node)
        if len({row.meaning for row in rows}) != 1:
            return None
        return max(rows, key=lambda row: sum((step in {made for _, made in self.shared}) for step in row.steps))

    def _rows(self, given: Format, node: GraphNode) -> list[Row]:
        """Return the shortest rows to any of the formats that the node accepts."""
        rows = [row for takes in _taken(node) for row in shortest(given, takes, offers(self.converters, takes))]
        least = min((len(row.steps) for row in rows), default=0)
        return [row for row in rows if len(row.steps) == least]

    def _mismatch(self, node: GraphNode, number: int, given: Format) -> None:
        """Report an input that ``node`` does not accept, or that could be converted in several ways."""
        entry = node.inputs[number]
        ways = list({row.meaning: row for row in self._rows(given, node)}.values())
        ways = ways or advice.rows(given, _taken(node), self.nodes)
        if len(ways) > 1 and all(is_converter(step.cls) for row in ways for step in row.steps):
            code, reason = "format-ambiguous", "can be converted in several ways: choose one"
        else:
            code, reason = "format-mismatch", "does not fit, and no converter for it may be inserted unasked"
        whose = "all inputs together give" if len(node.inputs) > 1 else f"{self._place(entry.node)} gives"
        help = advice.lines(self._as_written(entry), given, node.name, ways, self.graph.nodes)
        wanted = listed((str(takes) for takes in _taken(node)), "or")
        message = f'the output of "{entry.node}" to "{node.name}" {reason}'
        takes = f"{self._place(node.name)} takes: {' or '.join(map(str, _taken(node)))}"
        notes = (f"{whose}: {given}", takes, *(help or (f"no installed node makes {wanted} of {given}",)))
        self.problems.add(code, message, entry.at, notes=notes)

    def _differ(self, node: GraphNode, wires: Sequence[Wire]) -> None:
        """Report streams that meet in ``node`` without a common format."""
        formats = [self.formats[wire] for wire in wires]
        notes = [f"{self._place(wire[0])} gives  {form}" for wire, form in zip(wires, formats, strict=True)]
        if len(set(formats)) == 1:
            notes.append("nothing tells the chunks of two stereo streams apart: give each a node of its own")
        for number, given in enumerate(formats):
            for wanted in dict.fromkeys(form for form in formats if form != given):
                exact = Caps(wanted.kind, (wanted.encoding,), (wanted.rate,), _MEET.get(wanted.layout, ("stereo",)))
                ways = shortest(given, exact, offers(self.converters, exact))
                written = self._as_written(node.inputs[number])
                notes += advice.lines(written, given, node.name, ways[:1], self.graph.nodes)
        names = listed(f'"{entry.node}"' for entry in node.inputs)
        message = f'{names} give unlike formats, so they cannot meet in "{node.name}"'
        self.problems.add("formats-differ", message, node.inputs[-1].at, notes=tuple(notes[:8]))

    def _lengthen(self, short: ShortWait) -> None:
        """Let a converter that was inserted wait long enough."""
        node = short.node
        config = node.config.model_copy(update={node.cls.waits: short.enough})
        self.done[node.name] = replace(node, config=config)

    def _report_short_wait(self, short: ShortWait) -> None:
        """Report a node that waits too briefly for a party that is behind."""
        node, key = short.node, short.node.cls.waits
        written = self.graph.nodes[node.name]
        message = f'"{node.name}" waits {short.wait} for a party that may be {short.behind:g} s behind'
        held = tuple(f"{self._place(name)} holds a party back for up to {seconds:g} s" for name, seconds in short.slow)
        change = f'write  {key}: {short.enough}  in "{node.name}", or lower these delays'
        self.problems.add(
            "wait-too-short", message, written.places.get(f"with.{key}", written.at), notes=(*held, change)
        )

    def _place(self, name: str) -> str:
        node = self.graph.nodes.get(name)
        if node is None:
            return f'"{name}", which was inserted,'
        return f'"{name}" ({node.cls.name}, {node.at.path or self.graph.path}:{node.at.line}:{node.at.column})'

    def _as_written(self, entry: Input) -> str:
        """An input as its file writes it: inside a sub-graph, nodes have shorter names."""
        at = entry.at
        return self.problems.line(at)[at.column - 1 : at.column - 1 + at.length].strip("\"'") or entry.node

    def _convert(self, wires: tuple[Wire, ...], row: Row) -> Wire:
        """Insert the row's steps behind the wires, unless they are there; return the wire at their end."""
        base = "+".join(dict.fromkeys(self._written(wire, len(wires)) for wire in wires))
        for step in row.steps:
            name = self.shared.get((wires, step))
            if name is None:
                name = self._unused(f"{base}~{step.cls.name}")
                given = _merged([self.formats[wire] for wire in wires])
                assert given is not None  # noqa: S101  # else there would be no row
                self._add(name, step, wires, given)
                self.shared[wires, step] = name
            wires = ((name, 0),)
        return wires[0]

    def _written(self, wire: Wire, together: int) -> str:
        """The wire as a graph writes it; without its output when several come together."""
        outputs = self.graph.nodes[wire[0]].cls.outputs
        return f"{wire[0]}.{outputs[wire[1]]}" if outputs and together == 1 else wire[0]

    def _unused(self, base: str) -> str:
        name, number = base, 2
        while name in self.done:
            name, number = f"{base}{number}", number + 1
        return name

    def _add(
        self, name: str, step: Step, inputs: tuple[Wire, ...], given: Format, node: GraphNode | None = None
    ) -> None:
        """Add a node to the plan; without ``node`` it is an inserted converter."""
        cls, config = step.cls, step.config
        forms = gives(cls, config, given)
        chains = {self.done[upstream].chain for upstream, _ in inputs}
        queue = node.queue if node else None
        border = None
        takes_words = given.kind == "text" and issubclass(cls, Sink)  # rare, so that a queue costs nothing
        if cls.runs == "thread" or queue is not None or len(chains) > 1 or takes_words:
            border = self._border(cls, node)
        chain = chains.pop() if border is None else self._next_chain()
        on_error: OnError = "fail_flow" if chain == 0 and not issubclass(cls, Sink) else "fail_branch"
        if node is not None and node.on_error is not None:
            on_error = node.on_error
        for port, form in enumerate(forms):
            self.formats[name, port] = form
        self.done[name] = PlanNode(name, cls, config, inputs, given, forms, border, on_error, chain, node is None)

    def _border(self, cls: type[Node], node: GraphNode | None) -> BorderPlan:
        """The border that the file asks for, or the default: a file can wait, a phone call cannot."""
        allowed = cls.loss == "allowed"
        seconds = LIVE_QUEUE if allowed else RECORDER_QUEUE
        on_full: OnFull = "block" if not self.live else "drop_oldest" if allowed else "drop_newest"
        queue = node.queue if node else None
        if queue is not None:
            seconds = float(queue.max) if queue.max is not None else seconds
            on_full = queue.on_full or on_full
        return BorderPlan(seconds, on_full)


def _taken(node: GraphNode) -> tuple[Caps, ...]:
    return node.cls.accepts(node.config)


def _merged(formats: list[Format]) -> Format | None:
    """The format of several wires that meet: streams of one party each together are ``tracks``.

    None for unlike formats, and for stereo streams, whose chunks could not be told apart.
    """
    first = formats[0]
    if len(formats) == 1:
        return first
    alike = {(form.kind, form.encoding, form.rate) for form in formats}
    layouts = {form.layout for form in formats}
    if len(alike) > 1 or "stereo" in layouts:
        return None
    if layouts <= {"mono", "tracks"}:
        return Format(first.kind, first.encoding, first.rate, "tracks")
    return first
