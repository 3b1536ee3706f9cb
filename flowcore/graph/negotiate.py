"""From a checked graph to a plan: formats travel from the listener down every wire, before anything starts.

Where an output and an input do not match, the shortest row of converters that makes them match is put between them
(and shared by all inputs that want the same of the same output). Then the graph is cut into chains: a border stands
before every node that works in a thread, where the file asks for a ``queue``, and where streams of several chains
meet.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from flowcore.errors import FlowcoreError
from flowcore.formats import Format, Takes
from flowcore.graph.model import Graph, GraphNode, OnError, OnFull, Position
from flowcore.graph.plan import BorderPlan, Plan, PlanNode
from flowcore.graph.problems import Problems
from flowcore.node import Config, Demux, Listener, Node, Sink, Transform

LONGEST_ROW = 3
"""Converters between two nodes at most: decode, resample, interleave."""

RECORDER_QUEUE = 30.0
"""Seconds that wait for a slow node that must not lose anything: a disk that stalls recovers within seconds."""
LIVE_QUEUE = 10.0
"""Seconds that wait for a slow node that may lose something."""

Converter = type[Transform]  # type: ignore[type-arg]  # of any chunks
Wire = tuple[str, int]


def compile(graph: Graph, converters: Iterable[Converter] | None = None) -> Plan:  # the field's word
    """Negotiate formats and cut the graph into chains. Raises `GraphError` with every conflict."""
    return _Compiler(graph, converters).plan()


class _Compiler:
    def __init__(self, graph: Graph, converters: Iterable[Converter] | None) -> None:
        self.graph = graph
        self.problems = Problems(graph.path, graph.source)
        self.formats: dict[Wire, Format] = {}
        self.done: dict[str, PlanNode] = {}
        self.shared: dict[tuple[Wire, Converter, Config], str] = {}
        self._converters = None if converters is None else tuple(converters)
        self._chains = 0
        listener = next(iter(graph.nodes.values()))
        self.live = bool(getattr(listener.cls, "live", True))

    @property
    def converters(self) -> tuple[Converter, ...]:
        """Loaded only when a graph needs one."""
        if self._converters is None:
            self._converters = tuple(_installed_converters())
        return self._converters

    def plan(self) -> Plan:
        for node in self.graph.nodes.values():
            if issubclass(node.cls, Listener):
                self._add(node.name, node.cls, node.config, (), None, (node.cls.gives(node.config),))
            else:
                self._connect(node)
        self.problems.raise_if_any()
        return Plan(self.graph.path, self.done)

    def _connect(self, node: GraphNode) -> None:
        wires: list[Wire] = []
        for entry in node.inputs:
            upstream = self.graph.nodes[entry.node]
            wire = (entry.node, upstream.cls.outputs.index(entry.port) if entry.port else 0)
            if wire not in self.formats:
                return  # its own problem is reported already
            found = self._reach(wire, node, entry.at)
            if found is None:
                return
            wires.append(found)
        given = _merged([self.formats[wire] for wire in wires])
        if given is None:
            each = [f"{entry.node} gives {self.formats[wire]}" for entry, wire in zip(node.inputs, wires, strict=True)]
            self.problems.add(
                "formats-differ",
                f'the inputs of "{node.name}" do not match: {", ".join(each)}',
                node.inputs[-1].at,
                help="bring them to one format first, for example with resample",
            )
            return
        self._add(node.name, node.cls, node.config, tuple(wires), given, _gives(node.cls, node.config, given), node)

    def _reach(self, wire: Wire, node: GraphNode, at: Position) -> Wire | None:
        """The wire itself when its format fits, or the end of a row of converters after it."""
        given = self.formats[wire]
        if not node.cls.takes or any(takes.matches(given) for takes in node.cls.takes):
            return wire
        rows = [row for takes in node.cls.takes if (row := self._row(given, takes)) is not None]
        if not rows:
            takes = " or ".join(str(takes) for takes in node.cls.takes)
            self.problems.add(
                "format-mismatch",
                f'"{wire[0]}" gives {given}, but "{node.name}" ({node.cls.name}) takes {takes}',
                at,
                help="no converter makes one of the other: put a node between them that does",
            )
            return None
        for cls, config in min(rows, key=len):
            wire = self._convert(wire, cls, config)
        return wire

    def _row(self, given: Format, takes: Takes) -> list[tuple[Converter, Config]] | None:
        """The shortest row of converters from ``given`` to what ``takes`` matches; None when there is none."""
        offers = [(cls, config) for cls in self.converters if (config := cls.converts(takes)) is not None]
        for length in range(1, LONGEST_ROW + 1):
            for row in product(offers, repeat=length):
                form: Format | None = given
                for cls, config in row:
                    if form is None or not any(port.matches(form) for port in cls.takes):
                        form = None
                        break
                    form = cls.gives(config, form)
                if form is not None and takes.matches(form):
                    return list(row)
        return None

    def _convert(self, wire: Wire, cls: Converter, config: Config) -> Wire:
        name = self.shared.get((wire, cls, config))
        if name is None:
            base = name = f"{wire[0]}~{cls.name}"
            while name in self.done:
                name = f"{base}{len(self.done)}"
            given = self.formats[wire]
            self._add(name, cls, config, (wire,), given, (cls.gives(config, given),), inserted=True)
            self.shared[wire, cls, config] = name
        return (name, 0)

    def _add(
        self,
        name: str,
        cls: type[Node],
        config: Config,
        inputs: tuple[Wire, ...],
        given: Format | None,
        gives: tuple[Format, ...],
        node: GraphNode | None = None,
        *,
        inserted: bool = False,
    ) -> None:
        chains = {self.done[upstream].chain for upstream, _ in inputs}
        queue = node.queue if node else None
        border = None
        if inputs and (cls.runs == "thread" or queue is not None or len(chains) > 1):
            border = self._border(cls, node)
        if border is not None or not inputs:
            chain = self._chains
            self._chains += 1
        else:
            chain = chains.pop()
        on_error: OnError = "fail_flow" if chain == 0 and not issubclass(cls, Sink) else "fail_branch"
        if node is not None and node.on_error is not None:
            on_error = node.on_error
        for port, form in enumerate(gives):
            self.formats[name, port] = form
        self.done[name] = PlanNode(name, cls, config, inputs, given, gives, border, on_error, chain, inserted)

    def _border(self, cls: type[Node], node: GraphNode | None) -> BorderPlan:
        """The file's word, or the default: a file's reader waits, a phone call cannot."""
        allowed = cls.loss == "allowed"
        seconds = LIVE_QUEUE if allowed else RECORDER_QUEUE
        on_full: OnFull = "block" if not self.live else "drop_oldest" if allowed else "drop_newest"
        queue = node.queue if node else None
        if queue is not None:
            seconds = float(queue.max) if queue.max is not None else seconds
            on_full = queue.on_full or on_full
        return BorderPlan(seconds, on_full)


def _gives(cls: type[Node], config: Config, given: Format) -> tuple[Format, ...]:
    if issubclass(cls, Demux):
        return cls.gives(config, given)
    if issubclass(cls, Transform):
        return (cls.gives(config, given),)
    return ()


def _merged(formats: list[Format]) -> Format | None:
    """The one format of several wires that meet: several one-party streams together are ``tracks``."""
    first = formats[0]
    if len(formats) == 1:
        return first
    alike = {(form.kind, form.encoding, form.rate) for form in formats}
    layouts = {form.layout for form in formats}
    if len(alike) > 1 or (len(layouts) > 1 and not layouts <= {"mono", "tracks"}):
        return None
    if layouts <= {"mono", "tracks"}:
        return Format(first.kind, first.encoding, first.rate, "tracks")
    return first


def _installed_converters() -> Iterable[Converter]:
    """The transforms that can stand between two nodes, of all that are installed."""
    from flowcore.registry import available

    for name in sorted(available()):
        entry = available()[name]
        if ".transforms." not in entry.module:
            continue
        try:
            cls = entry.load()
        except (ImportError, FlowcoreError):  # a broken package is reported where a graph names its nodes
            continue
        if issubclass(cls, Transform) and cls.converts.__func__ is not Transform.converts.__func__:  # type: ignore[attr-defined]
            yield cls
