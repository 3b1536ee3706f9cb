"""Reads a graph file and checks all of it: a `Graph` comes out, or one `GraphError` with every problem.

Loading opens the graph's own file, its parts and the Python files that it imports, and nothing else: no network,
device, model or other file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from flowcore import registry as installed
from flowcore.diagnostics import Position, did_you_mean, listed
from flowcore.errors import GraphError
from flowcore.graph import settings as overrides
from flowcore.graph import wires
from flowcore.graph.model import Graph, GraphNode, Input
from flowcore.graph.node_parser import NodeParser, ParsedNode
from flowcore.graph.problems import Problems
from flowcore.graph.source import LARGEST, Tree, read
from flowcore.graph.subgraphs import Reader, Scope, arguments, filled, plain_text
from flowcore.graph.values import Values
from flowcore.node import Listener
from flowcore.registry import Entry

START = Position(1, 1)


def load(
    path: str | Path,
    settings: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    registry: Mapping[str, Entry] | None = None,
) -> Graph:
    """Read the graph file at ``path``; ``settings`` are ``node.key=value`` and win over the file.

    ``environ`` is what ``${NAME}`` reads, ``registry`` the node types there are (all that are installed by default).
    Raises `GraphError` with every problem, also when the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(LARGEST + 1)  # no more, whatever the path names
        text = raw.decode("utf-8", errors="replace" if len(raw) > LARGEST else "strict")
    except IsADirectoryError:
        _unreadable(
            path,
            "unreadable",
            "this is a folder, and a graph is a file",
            f"name the graphs in it: {Path(path) / '*.yaml'}",
        )
    except OSError as error:
        _unreadable(path, "unreadable", f"the graph cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        _unreadable(path, "not-utf8", f"the graph is not text in UTF-8: see byte {error.start}")
    return load_text(text, str(path), settings, environ, registry)


def load_text(
    text: str,
    path: str = "<text>",
    settings: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    registry: Mapping[str, Entry] | None = None,
    parts: Mapping[str, str] | None = None,
) -> Graph:
    """As `load`, for a graph that is already in memory; ``path`` is how problems call it.

    ``parts`` are the texts of the graph's parts by path, as `Graph.parts` has them; those it lacks are read.
    """
    text = plain_text(text)
    problems = Problems(path, text)
    tree = read(text, problems)
    reader = Reader(Path(path), installed.available() if registry is None else registry, problems, parts)
    scope = reader.top(tree) if tree is not None or not problems else None
    values = Values(environ, problems)
    drafts: dict[str, ParsedNode] = {}
    ordered: list[str] = []
    if scope is not None:
        overrides.apply(settings, scope, problems)
        builder = _Builder(values)
        builder.build(scope, {})
        drafts = builder.drafts
        ordered = wires.check(drafts, scope.at, problems, builder.parts)
    problems.raise_if_any()
    return Graph(path, text, {name: _finished(drafts[name]) for name in ordered}, reader.texts, values.held())


class _Builder:
    """Makes drafts of all nodes of a graph, those of its parts among them; ``parts`` are the names of the latter."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.problems = values.problems
        self.drafts: dict[str, ParsedNode] = {}
        self.parts: list[str] = []

    def build(self, scope: Scope, parameters: Mapping[str, Tree]) -> None:
        """Draft the nodes of one file, in its order."""
        drafter = NodeParser(scope.registry, self.values)
        for name, entry in scope.nodes.entries.items():
            tree = filled(entry.value, parameters, self.problems) if scope.prefix else entry.value
            if name in scope.parts:
                self._part(scope, name, entry.key, tree, drafter)
            else:
                draft = drafter.draft(name, entry.key, tree, scope.prefix)
                draft.inputs = self._resolved(draft.inputs, scope)
                self.drafts[draft.name] = draft
                if scope.prefix and draft.cls is not None and issubclass(draft.cls, Listener):
                    message = f"{draft.name} accepts calls: a part works on what its input brings"
                    self.problems.add("listener-in-part", message, draft.places["use"], "put it into the graph itself")
            if self.problems.full:
                self.problems.raise_if_any()

    def _part(self, scope: Scope, name: str, at: Position, tree: Tree, drafter: NodeParser) -> None:
        part = scope.parts[name]
        self.parts.append(part.prefix[:-1])
        use = drafter.use_of_part(name, at, tree)
        if part.input is None and not part.nodes.entries:
            return  # it could not be read
        part.feeds = self._resolved(use.inputs, scope) or []
        if use.inputs == []:
            message = f"{part.prefix[:-1]} does not say which node it takes its input from"
            self.problems.add("missing-from", message, at, "add  from: NODE")
        self.build(part, arguments(part, name, at, use.fields, self.problems))

    def _resolved(self, inputs: list[Input] | None, scope: Scope) -> list[Input] | None:
        """Real nodes in the place of parts and of a part's input; None when any of them is in doubt."""
        if inputs is None:
            return None
        found: list[Input] = []
        doubtful = False
        for wire in inputs:
            part = scope.parts.get(wire.node)
            real = scope.resolve(wire)
            if part is not None and not real and part.nodes.entries:
                self._no_output(part, wire)
            # An input that is in doubt itself has been told of where it is named.
            doubtful = doubtful or not real
            found += real
        seen: set[tuple[str, str]] = set()
        for wire in found:
            if (wire.node, wire.port) in seen:
                self.problems.add("repeated-input", f'"{wire.node}" comes in twice', wire.at)
            seen.add((wire.node, wire.port))
        return None if doubtful else found

    def _no_output(self, part: Scope, wire: Input) -> None:
        choice = listed([f"{wire.node}.{port}" for port in part.outputs], "or")
        if not part.outputs:
            message = f"{wire.node} ({part.path.name}) has no outputs"
            self.problems.add("unknown-port", message, wire.at, "add  outputs: {name: node}  to the part")
        elif wire.port:
            help = did_you_mean(wire.port, part.outputs, f"write  from: {choice}")
            self.problems.add("unknown-port", f'{wire.node} has no output "{wire.port}"', wire.at, help)
        else:
            self.problems.add("missing-port", f"{wire.node} has several outputs", wire.at, f"write  from: {choice}")


def _unreadable(path: str | Path, code: str, message: str, help: str = "") -> NoReturn:
    problems = Problems(str(path), "")
    problems.add(code, message, START, help)
    raise GraphError(problems.sorted())


def _finished(draft: ParsedNode) -> GraphNode:
    assert draft.cls is not None  # noqa: S101  # else there is a problem
    assert draft.config is not None  # noqa: S101
    inputs = tuple(draft.inputs or ())
    return GraphNode(draft.name, draft.cls, draft.config, inputs, draft.queue, draft.on_error, draft.at, draft.places)
