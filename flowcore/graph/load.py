"""Reads a graph file and checks all of it: a `Graph` comes out, or one `GraphError` with every problem.

Loading opens the graph's own file and nothing else: no network, device, model or other file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from flowcore import registry as installed
from flowcore.errors import GraphError
from flowcore.graph import settings as overrides
from flowcore.graph import wires
from flowcore.graph.drafts import Draft, Drafter
from flowcore.graph.model import Graph, GraphNode, Position
from flowcore.graph.problems import Problems, did_you_mean, listed
from flowcore.graph.source import LARGEST, Fields, Refused, Scalar, Tree, read
from flowcore.graph.values import Values
from flowcore.registry import Entry

VERSION = "1"
KEYS = ("flowcore", "description", "nodes")
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
) -> Graph:
    """As `load`, for a graph that is already in memory; ``path`` is how problems call it."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    problems = Problems(path, text)
    tree = read(text, problems)
    nodes = _top(tree, problems) if tree is not None or not problems else None
    drafts: dict[str, Draft] = {}
    ordered: list[str] = []
    if nodes is not None:
        overrides.apply(settings, nodes[1], problems)
        drafter = Drafter(installed.available() if registry is None else registry, Values(environ, problems))
        for name, entry in nodes[1].entries.items():
            drafts[name] = drafter.draft(name, entry.key, entry.value)
            if problems.full:
                problems.raise_if_any()
        ordered = wires.check(drafts, nodes[0], problems)
    problems.raise_if_any()
    return Graph(path, text, {name: _finished(drafts[name]) for name in ordered})


def _unreadable(path: str | Path, code: str, message: str) -> NoReturn:
    problems = Problems(str(path), "")
    problems.add(code, message, START)
    raise GraphError(problems.sorted())


def _top(tree: Tree | None, problems: Problems) -> tuple[Position, Fields] | None:
    """Check the keys of the file itself; return the place of the key ``nodes`` and what it holds."""
    if not isinstance(tree, Fields):
        if not isinstance(tree, Refused):
            message = "the file is empty" if tree is None else "the file is no mapping"
            problems.add("not-a-graph", message, tree.at if tree else START, "begin with  flowcore: 1")
        return None
    entries = tree.entries
    for key in entries.keys() - set(KEYS):
        help = did_you_mean(key, KEYS, f"the keys of a graph are {listed(KEYS)}")
        problems.add("unknown-key", f'a graph has no key "{key}"', entries[key].key, help)
    version = entries.get("flowcore")
    if version is None:
        problems.add("missing-version", "the file does not say what it is", tree.at, "begin with  flowcore: 1")
    elif not isinstance(version.value, Scalar) or version.value.text != VERSION:
        message = f"this flowcore reads graphs of version {VERSION}"
        problems.add("unknown-version", message, version.value.at, f"write  flowcore: {VERSION}")
    description = entries.get("description")
    if description is not None and not isinstance(description.value, Scalar | Refused):
        problems.add("bad-description", "description is text", description.value.at)
    nodes = entries.get("nodes")
    if nodes is None:
        problems.add("missing-nodes", "the graph has no nodes", tree.at, "add  nodes:")
        return None
    if not isinstance(nodes.value, Fields) or not nodes.value.entries:
        if not isinstance(nodes.value, Refused):
            help = "write  name: {use: NODE, from: NAME}  below it, one for each node"
            problems.add("missing-nodes", "nodes holds no nodes by name", nodes.key, help)
        return None
    return nodes.key, nodes.value


def _finished(draft: Draft) -> GraphNode:
    assert draft.cls is not None  # noqa: S101  # else there is a problem
    assert draft.config is not None  # noqa: S101
    inputs = tuple(draft.inputs or ())
    return GraphNode(draft.name, draft.cls, draft.config, inputs, draft.queue, draft.on_error, draft.at, draft.places)
