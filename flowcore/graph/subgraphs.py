"""Expands the sub-graphs of a graph: a tree of files becomes one flat list of nodes, whose inputs are nodes too.

The value of a parameter replaces ``$name`` and keeps its position: the field that it reaches checks it, unit and all,
and a wrong value is shown in the file that gave it. A sub-graph used twice becomes two sets of nodes, ``agent.speech``
and ``caller.speech``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowcore.diagnostics import Position, did_you_mean, listed
from flowcore.graph.graph_file import PARAMETER, GraphFile
from flowcore.graph.imports import NAME, NAME_RULE
from flowcore.graph.model import Input
from flowcore.graph.problems import Problems
from flowcore.graph.source import Entry, Invalid, Scalar, Tree, YamlList, YamlMapping, mapping_of
from flowcore.registry import Entry as NodeEntry

USE_KEYS = ("use", "from", "with")
"""Keys of a node that uses a sub-graph."""


@dataclass(frozen=True)
class FlatNode:
    """A node by its full name, such as ``agent.speech``, and what its file says of it.

    ``tree`` has the values of parameters filled in. ``inputs`` are the nodes that ``from`` stands for: empty without a
    ``from``, None when it is wrong, which was reported. ``types`` are the node types that its file may use.
    """

    name: str
    at: Position
    tree: Tree
    inputs: list[Input] | None
    types: Mapping[str, NodeEntry]


@dataclass(frozen=True)
class FlatGraph:
    """Nodes of a graph, in the order of its files; ``subgraphs`` are the names under which sub-graphs are used."""

    nodes: list[FlatNode] = field(default_factory=list)
    subgraphs: list[str] = field(default_factory=list)


def expand(file: GraphFile, problems: Problems) -> FlatGraph:
    """The graph of ``file`` without sub-graphs. Raises `GraphError` when there are too many problems to go on."""
    flat = FlatGraph()
    _Expansion(file, problems, flat).run()
    return flat


@dataclass
class _Expansion:
    """One file as one of its uses sees it: ``prefix`` is empty for the graph's own file, ``agent.`` for a sub-graph.

    ``feeds`` are the nodes that the file's input stands for.
    """

    file: GraphFile
    problems: Problems
    flat: FlatGraph
    prefix: str = ""
    feeds: Sequence[Input] = ()
    parameters: Mapping[str, Tree] | None = None

    def run(self) -> None:
        for name, entry in self.file.nodes.entries.items():
            at, tree = entry.key, entry.value
            if self.parameters is not None:
                tree = _filled(tree, self.parameters, self.problems)
            if not NAME.fullmatch(name):
                self.problems.add("bad-name", f'"{name}" is no name for a node', at, NAME_RULE)
            if name in self.file.subgraphs and isinstance(tree, YamlMapping):
                self._expand_use(name, at, tree)
            else:
                inputs = self._inputs(tree)
                self.flat.nodes.append(FlatNode(self.prefix + name, at, tree, inputs, self.file.types))
            if self.problems.full:
                self.problems.raise_if_any()

    def _expand_use(self, name: str, at: Position, use: YamlMapping) -> None:
        full_name = self.prefix + name
        self.flat.subgraphs.append(full_name)
        for key in use.entries.keys() - set(USE_KEYS):
            help = did_you_mean(key, USE_KEYS, f"the keys of a sub-graph's use are {listed(USE_KEYS)}")
            if key in ("queue", "on_error"):
                help = f"write {key} at a node of the sub-graph"
            message = f'the use of a sub-graph has no key "{key}"'
            self.problems.add("unknown-key", message, use.entries[key].key, help)
        inputs = self._inputs(use)
        with_ = use.entries.get("with")
        given = YamlMapping(at, {}) if with_ is None else mapping_of("with", with_.value, self.problems)
        file = self.file.subgraphs[name]
        if file is None:
            return  # it could not be read, which was reported
        if inputs == []:
            message = f"{full_name} does not say which node it takes its input from"
            self.problems.add("missing-from", message, at, "add  from: NODE")
        parameters = _arguments(file, name, at, given, self.problems)
        _Expansion(file, self.problems, self.flat, f"{full_name}.", inputs or [], parameters).run()

    def _inputs(self, tree: Tree) -> list[Input] | None:
        """The nodes in the ``from`` of an entry, resolved; None when any of them is wrong."""
        if not isinstance(tree, YamlMapping):
            return None
        if "from" not in tree.entries:
            return []
        written = self._from(tree.entries["from"].value)
        if written is None:
            return None
        found: list[Input] = []
        doubtful = False
        for wire in written:
            nodes = self._resolve(wire)
            if not nodes:
                doubtful = True
                file = self.file.subgraphs.get(wire.node)
                if file is not None:  # otherwise its file, or the sub-graph's own `from`, was reported
                    self._no_output(file, wire)
            found += nodes
        first: dict[tuple[str, str], Input] = {}
        for wire in found:
            if first.setdefault((wire.node, wire.port), wire) is not wire:
                self.problems.add("repeated-input", f'"{wire.node}" comes in twice', wire.at)
        return None if doubtful else found

    def _from(self, tree: Tree) -> list[Input] | None:
        """The names in a ``from``, as they are written."""
        found: dict[str, Input] = {}
        for item in tree.items if isinstance(tree, YamlList) else [tree]:
            if isinstance(item, Invalid):
                return None
            if not isinstance(item, Scalar) or not item.text:
                help = "write  from: node  or  from: [node, node.port]"
                self.problems.add("bad-from", "from names the nodes before this one", item.at, help)
                return None
            node, _, port = item.text.partition(".")
            if item.text in found:
                self.problems.add("repeated-input", f'"{item.text}" stands in from twice', item.at)
            else:
                found[item.text] = Input(node, port, item.at)
        return list(found.values())

    def _resolve(self, wire: Input) -> list[Input]:
        """The nodes that a name stands for: the file's input, an output of a sub-graph, or a node of the file."""
        if self.file.input is not None and wire.node == self.file.input.text and not wire.port:
            return list(self.feeds)
        return _resolve(self.file, self.prefix, wire)

    def _no_output(self, file: GraphFile, wire: Input) -> None:
        choice = listed([f"{wire.node}.{port}" for port in file.outputs], "or")
        if not file.outputs:
            message = f"{wire.node} ({file.path.name}) has no outputs"
            self.problems.add("unknown-port", message, wire.at, "add  outputs: {name: node}  to the sub-graph")
        elif wire.port:
            help = did_you_mean(wire.port, file.outputs, f"write  from: {choice}")
            self.problems.add("unknown-port", f'{wire.node} has no output "{wire.port}"', wire.at, help)
        else:
            self.problems.add("missing-port", f"{wire.node} has several outputs", wire.at, f"write  from: {choice}")


def _resolve(file: GraphFile, prefix: str, wire: Input) -> list[Input]:
    if wire.node not in file.subgraphs:
        return [Input(prefix + wire.node, wire.port, wire.at)]
    inner = file.subgraphs[wire.node]
    if inner is None:
        return []
    port = wire.port or (next(iter(inner.outputs)) if len(inner.outputs) == 1 else "")
    output = inner.outputs.get(port)
    if output is None:
        return []
    node, _, inner_port = output.text.partition(".")
    return _resolve(inner, f"{prefix}{wire.node}.", Input(node, inner_port, wire.at))


def _arguments(
    file: GraphFile, name: str, at: Position, given: YamlMapping | None, problems: Problems
) -> dict[str, Tree]:
    """The value of each parameter: the one in ``given``, or its default.

    ``name`` at ``at`` is the node that uses the sub-graph; ``given`` is its ``with``, None when that is wrong.
    """
    if given is None:
        return dict.fromkeys(file.parameters, Invalid(at))
    for key in given.entries.keys() - file.parameters.keys():
        known = [*file.parameters, *file.nodes.entries]
        help = did_you_mean(key, known, f"it has {listed(file.parameters)}")
        message = f'{name} ({file.path.name}) has no parameter "{key}"'
        problems.add("unknown-parameter", message, given.entries[key].key, help)
    values: dict[str, Tree] = {}
    for key, declared in file.parameters.items():
        about = declared.value.entries if isinstance(declared.value, YamlMapping) else {}
        if key in given.entries:
            values[key] = given.entries[key].value
        elif "default" in about:
            values[key] = about["default"].value
        else:
            description = about.get("description")
            text = description.value if description else None
            help = f"{key}: {text.text}" if isinstance(text, Scalar) else ""
            problems.add("missing-parameter", f'{name} ({file.path.name}) needs "{key}"', at, help)
            values[key] = Invalid(at)
    return values


def _filled(tree: Tree, values: Mapping[str, Tree], problems: Problems) -> Tree:
    """``tree`` with the parameters' values where it says ``$name``."""
    if isinstance(tree, YamlList):
        return YamlList(tree.at, [_filled(item, values, problems) for item in tree.items])
    if isinstance(tree, YamlMapping):
        entries = {key: Entry(entry.key, _filled(entry.value, values, problems)) for key, entry in tree.entries.items()}
        return YamlMapping(tree.at, entries)
    if not isinstance(tree, Scalar):
        return tree
    whole = PARAMETER.fullmatch(tree.text)
    if whole and whole["name"] in values:
        return values[whole["name"]]
    invalid = False

    def value(match: re.Match[str]) -> str:
        nonlocal invalid
        name = match["name"]
        if name is None:
            return "$"
        given = values.get(name)
        if given is None:
            otherwise = f"add  parameters: {{{name}: {{}}}}, or write $${name} for the text ${name}"
            help = did_you_mean(name, values, otherwise)
            problems.add("unknown-parameter", f"the sub-graph has no parameter {name}", tree.at, help)
        elif not isinstance(given, Scalar | Invalid):
            problems.add("bad-parameter", f"{name} stands inside a text here, so it must be one value", given.at)
        invalid = invalid or not isinstance(given, Scalar)
        return given.text if isinstance(given, Scalar) else ""

    text = PARAMETER.sub(value, tree.text)
    return Invalid(tree.at) if invalid else Scalar(tree.at, text, tree.plain)
