"""Loads a graph: from the text of its file to a checked `Graph`, or to one `GraphError` with every problem.

The steps, each in a module of its own::

    text ─ source ─► tree ─ graph_file ─► files of the graph and its sub-graphs ─ settings ─► the same with --set
         ─ subgraphs ─► flat list of nodes ─ node_parser ─► parsed nodes ─ wires ─► Graph ─ negotiate ─► Plan

Loading opens the graph's own file, its sub-graphs and the Python files that it imports, and nothing else: no network,
device, model or other file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowcore import registry as installed
from flowcore.graph import attributes, wires
from flowcore.graph import settings as overrides
from flowcore.graph.graph_file import Reader
from flowcore.graph.model import Graph, GraphNode
from flowcore.graph.node_parser import NodeParser, ParsedNode
from flowcore.graph.problems import Problems
from flowcore.graph.source import plain_text, read, read_file
from flowcore.graph.subgraphs import expand
from flowcore.graph.values import Values
from flowcore.registry import Entry


def load(
    path: str | Path,
    settings: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    registry: Mapping[str, Entry] | None = None,
) -> Graph:
    """Read the graph file at ``path``; ``settings`` are ``node.key=value`` and win over the file.

    ``environ`` is what ``${NAME}`` reads, ``registry`` the node types (by default all that are installed).
    Raises `GraphError` with every problem, also when the file cannot be read.
    """
    problems = Problems(str(path), "")
    text = read_file(path, "the graph", problems, pattern="*.yaml")
    problems.raise_if_any()
    return load_text(text or "", str(path), settings, environ, registry)


def load_text(
    text: str,
    path: str = "<text>",
    settings: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    registry: Mapping[str, Entry] | None = None,
    others: Mapping[str, str] | None = None,
) -> Graph:
    """Load a graph that is already in memory, like `load`; ``path`` is its name in problems.

    ``others`` are the texts of its sub-graphs and Python files by path, as `flowcore.graph.plan.Plan.sources` has them;
    files that are not among them are read.
    """
    text = plain_text(text)
    problems = Problems(path, text)
    tree = read(text, problems)
    reader = Reader(Path(path), installed.available() if registry is None else registry, problems, others)
    file = reader.read(tree) if tree is not None or not problems else None
    values = Values(environ, problems)
    parsed: dict[str, ParsedNode] = {}
    ordered: list[str] = []
    if file is not None:
        overrides.apply(settings, file, problems)
        flat = expand(file, problems)
        parser = NodeParser(values, reader.imports.imported)
        for node in flat.nodes:
            parsed[node.name] = parser.parse(node)
            if problems.full:
                break
        else:
            ordered = wires.check(parsed, file.at, problems, flat.subgraphs)
            attributes.check(parsed, values)
    problems.raise_if_any()
    return Graph(
        path,
        text,
        {name: _finished(parsed[name]) for name in ordered},
        reader.texts,
        reader.imports.texts,
        tuple(settings),
        values.held(),
    )


def _finished(node: ParsedNode) -> GraphNode:
    assert node.cls is not None  # noqa: S101  # else there is a problem
    assert node.config is not None  # noqa: S101
    inputs = tuple(node.inputs or ())
    return GraphNode(node.name, node.cls, node.config, inputs, node.queue, node.on_error, node.at, node.places)
