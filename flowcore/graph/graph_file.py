"""A graph's file and the files of its sub-graphs: their keys are checked, their nodes are left as they are written.

A sub-graph is a graph file with an input, which another graph uses like a node (``use: ./voice.yaml``). ``input`` names
what comes in for its own nodes, ``outputs`` names what comes out, ``parameters`` names what its user may set.

Files outside the directory of the graph are not read, and a sub-graph that uses itself is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowcore.diagnostics import Position, did_you_mean, listed
from flowcore.graph.imports import NAME, Imports
from flowcore.graph.problems import Problems
from flowcore.graph.source import Entry, Invalid, Scalar, Tree, YamlList, YamlMapping, is_nothing, read, read_file
from flowcore.registry import Entry as NodeEntry

VERSION = "1"
GRAPH_KEYS = ("flowcore", "description", "import", "nodes")
SUBGRAPH_KEYS = (*GRAPH_KEYS, "parameters", "input", "outputs")
PARAMETER_KEYS = ("default", "description")
MAX_USES = 100
"""Uses of sub-graphs in one graph: thirty files of which each uses the next one twice would be a billion nodes."""

PARAMETER = re.compile(r"\$\$(?=[a-z])|(?<!\$)\$(?P<name>[a-z][a-z0-9_]*)")
"""``$name`` in a sub-graph's text; ``$$name`` is the text ``$name``."""


@dataclass
class GraphFile:
    """A graph's own file, or the file of a sub-graph as one of its uses sees it.

    ``at`` is the key ``nodes``. ``types`` are the node types that the file may use: those that are installed, and those
    that it imports. ``subgraphs`` maps nodes that use a sub-graph to its file, None for a file that could not be read.
    """

    path: Path
    at: Position
    nodes: YamlMapping
    types: Mapping[str, NodeEntry]
    subgraphs: dict[str, GraphFile | None] = field(default_factory=dict)
    parameters: dict[str, Entry] = field(default_factory=dict)
    input: Scalar | None = None
    outputs: dict[str, Scalar] = field(default_factory=dict)


class Reader:
    """Reads the files of one graph; ``given`` holds texts of its other files that were read before, by path."""

    def __init__(
        self, graph: Path, types: Mapping[str, NodeEntry], problems: Problems, given: Mapping[str, str] | None = None
    ) -> None:
        self.graph = graph
        self.problems = problems
        self.given = given or {}
        self.texts: dict[str, str] = {}
        """The texts of all sub-graphs, by path."""
        self.imports = Imports(graph.parent.resolve(), types, problems, given)
        self._uses = 0

    def read(self, tree: Tree | None) -> GraphFile | None:
        """The graph's own file with its sub-graphs; None when its nodes cannot be found, which is then reported."""
        file, _ = self._header(tree, GRAPH_KEYS, self.graph, Position(1, 1))
        if file is not None:
            self._read_subgraphs(file, ())
        return file

    def _header(
        self, tree: Tree | None, keys: tuple[str, ...], path: Path, start: Position
    ) -> tuple[GraphFile | None, dict[str, Entry]]:
        """Check the keys of a file; return the file, None after a problem with its nodes, and all entries."""
        if not isinstance(tree, YamlMapping):
            if not isinstance(tree, Invalid):
                message = "the file is empty" if tree is None else "the file is no mapping"
                self.problems.add("not-a-graph", message, tree.at if tree else start, "begin with  flowcore: 1")
            return None, {}
        entries = tree.entries
        if {"graph", "tests"} <= entries.keys():
            fix = f"run them with  flowcore test {path.name}"
            self.problems.add("test-file", "this file holds tests of a graph", entries["tests"].key, fix)
            return None, {}
        for key in entries.keys() - set(keys):
            help = did_you_mean(key, keys, f"the keys of a graph are {listed(keys)}")
            if key in SUBGRAPH_KEYS:
                help = f"{key} is for a sub-graph: a file that another graph names with  use: ./FILE.yaml"
            self.problems.add("unknown-key", f'a graph has no key "{key}"', entries[key].key, help)
        version = entries.get("flowcore")
        if version is None:
            message = "the file does not say which version of the format it has"
            self.problems.add("missing-version", message, tree.at, "begin with  flowcore: 1")
        elif not isinstance(version.value, Scalar) or version.value.text != VERSION:
            message = f"this flowcore reads graphs of version {VERSION}"
            self.problems.add("unknown-version", message, version.value.at, f"write  flowcore: {VERSION}")
        description = entries.get("description")
        if description is not None and not isinstance(description.value, Scalar | Invalid):
            self.problems.add("bad-description", "description is text", description.value.at)
        nodes = entries.get("nodes")
        if nodes is None:
            self.problems.add("missing-nodes", "the graph has no nodes", tree.at, "add  nodes:")
            return None, entries
        if not isinstance(nodes.value, YamlMapping) or not nodes.value.entries:
            if not isinstance(nodes.value, Invalid):
                help = "write  name: {use: NODE, from: NAME}  below it, one for each node"
                self.problems.add("missing-nodes", "nodes holds no nodes by name", nodes.key, help)
            return None, entries
        return GraphFile(path, nodes.key, nodes.value, self.imports.of(entries, path)), entries

    def _read_subgraphs(self, file: GraphFile, around: tuple[Path, ...]) -> None:
        """Read the sub-graphs of ``file``, which lies in the sub-graphs ``around``."""
        for name, entry in file.nodes.entries.items():
            use = entry.value.entries.get("use") if isinstance(entry.value, YamlMapping) else None
            if use is not None and isinstance(use.value, Scalar) and is_subgraph(use.value.text):
                file.subgraphs[name] = self._subgraph(use.value, file.path.parent, around)

    def _subgraph(self, use: Scalar, folder: Path, around: tuple[Path, ...]) -> GraphFile | None:
        path = self.imports.inside(use, folder, "subgraph")
        self._uses += 1
        if path is None or self.problems.full:
            return None
        if path.resolve() in (self.graph.resolve(), *around):
            self.problems.add("subgraph-in-itself", f"{use.text} uses itself, without end", use.at)
            return None
        if self._uses > MAX_USES:
            self.problems.add("too-many-subgraphs", f"a graph uses sub-graphs {MAX_USES} times at most", use.at)
            return None
        name = str(path)
        text = self.given[name] if name in self.given else read_file(path, use.text, self.problems, use.at)
        if text is None:
            return None
        self.texts[name] = text
        self.problems.add_text(name, text)
        start = Position(1, 1, path=name)
        before = len(self.problems)
        tree = read(text, self.problems, start)
        if tree is None and len(self.problems) > before:
            return None
        file, entries = self._header(tree, SUBGRAPH_KEYS, path, start)
        if file is None:
            return None
        self._input(file, entries, tree.at if tree else start)
        self._outputs(file, entries)
        self._parameters(file, entries)
        self._read_subgraphs(file, (*around, path.resolve()))
        return file

    def _input(self, file: GraphFile, entries: Mapping[str, Entry], at: Position) -> None:
        given = entries.get("input")
        if given is None:
            help = "add  input: NAME  and write  from: NAME  in the nodes that it goes to"
            self.problems.add("missing-input", "a sub-graph names its input", at, help)
        elif not isinstance(given.value, Scalar) or not NAME.fullmatch(given.value.text):
            if not isinstance(given.value, Invalid):
                self.problems.add("bad-input", "input is a name for what comes in", given.value.at)
        elif given.value.text in file.nodes.entries:
            message = f"the input and a node are both called {given.value.text}"
            self.problems.add("bad-input", message, given.value.at, "give the input another name")
        else:
            file.input = given.value

    def _outputs(self, file: GraphFile, entries: Mapping[str, Entry]) -> None:
        nodes = file.nodes.entries
        for name, entry in self._named(entries, "outputs", "names to nodes", "{name: node}").items():
            node = entry.value.text.partition(".")[0] if isinstance(entry.value, Scalar) else ""
            if isinstance(entry.value, Scalar) and node in nodes:
                file.outputs[name] = entry.value
            elif not isinstance(entry.value, Invalid):
                help = did_you_mean(node, nodes, f"the nodes are {listed(list(nodes)[:20])}")
                message = f'output "{name}" needs a node of the sub-graph'
                self.problems.add("bad-outputs", message, entry.value.at, help)

    def _parameters(self, file: GraphFile, entries: Mapping[str, Entry]) -> None:
        used = set(_parameters_in(file.nodes))
        for name, entry in self._named(entries, "parameters", "names", "{name: {default: VALUE}}").items():
            if name in file.nodes.entries or not NAME.fullmatch(name):
                self.problems.add("bad-parameters", f"a parameter cannot be called {name}", entry.key)
            elif name not in used:
                help = f"write ${name} where its value belongs, or remove it"
                self.problems.add("unused-parameter", f"no node of the sub-graph uses {name}", entry.key, help)
            if isinstance(entry.value, YamlMapping):
                for key in entry.value.entries.keys() - set(PARAMETER_KEYS):
                    help = did_you_mean(key, PARAMETER_KEYS, f"its keys are {listed(PARAMETER_KEYS)}")
                    at = entry.value.entries[key].key
                    self.problems.add("unknown-key", f'a parameter has no key "{key}"', at, help)
            elif not isinstance(entry.value, Invalid) and not is_nothing(entry.value):
                help = f"write  {name}: {{default: …}}"
                self.problems.add("bad-parameters", f"{name} is no mapping", entry.value.at, help)
            file.parameters[name] = entry

    def _named(self, entries: Mapping[str, Entry], key: str, content: str, example: str) -> Mapping[str, Entry]:
        """The entries of the mapping behind ``key``: none when there is none, or after a problem."""
        given = entries.get(key)
        if given is not None and isinstance(given.value, YamlMapping):
            return given.value.entries
        if given is not None and not isinstance(given.value, Invalid):
            self.problems.add(
                f"bad-{key}", f"{key} is a mapping of {content}", given.value.at, f"write  {key}: {example}"
            )
        return {}


def is_subgraph(use: str) -> bool:
    """Whether ``use`` names a file instead of a node type."""
    return "/" in use or use.endswith((".yaml", ".yml"))


def _parameters_in(tree: Tree) -> Iterator[str]:
    if isinstance(tree, Scalar):
        yield from (match["name"] for match in PARAMETER.finditer(tree.text) if match["name"])
    for inner in tree.items if isinstance(tree, YamlList) else ():
        yield from _parameters_in(inner)
    for entry in tree.entries.values() if isinstance(tree, YamlMapping) else ():
        yield from _parameters_in(entry.value)
