"""The files of a graph: its own, the parts that it uses (``use: ./part.yaml``), and the Python files that they import.

A part is a graph file with an input: ``input`` names it for the part's own nodes, ``outputs`` names what comes out,
``parameters`` what the user of the part may set. Where a part says ``$name``, the parameter's value stands, with the
place where it was written: so the field that it reaches checks it, unit and all, and a wrong value is shown in the
file that gave it. A part used twice becomes two sets of nodes, ``agent.speech`` and ``caller.speech``.

Nothing outside the directory of the graph is read, and nothing is read twice for ever: a part that uses itself is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowcore.diagnostics import Position, did_you_mean, listed
from flowcore.errors import BrokenImport, NameClash
from flowcore.graph.model import Input
from flowcore.graph.problems import Problems
from flowcore.graph.source import LARGEST, Entry, Invalid, Scalar, Tree, YamlList, YamlMapping, read
from flowcore.registry import Entry as NodeEntry
from flowcore.registry import from_file

VERSION = "1"
GRAPH_KEYS = ("flowcore", "description", "import", "nodes")
PART_KEYS = (*GRAPH_KEYS, "parameters", "input", "outputs")
PARAMETER_KEYS = ("default", "description")
NAME = re.compile("[a-z][a-z0-9_]{0,63}")
MOST = 100
"""Uses of parts in one graph: two parts that use each next one twice would be millions of nodes."""

BEGIN = Position(1, 1)

_PARAMETER = re.compile(r"\$\$(?=[a-z])|(?<!\$)\$(?P<name>[a-z][a-z0-9_]*)")


@dataclass
class Scope:
    """One file as one graph node uses it, or the graph's own file: ``prefix`` is empty then, else ``agent.``."""

    prefix: str
    path: Path
    at: Position
    nodes: YamlMapping
    registry: Mapping[str, NodeEntry]
    parts: dict[str, Scope] = field(default_factory=dict)
    parameters: dict[str, Entry] = field(default_factory=dict)
    input: Scalar | None = None
    outputs: dict[str, Scalar] = field(default_factory=dict)
    feeds: list[Input] = field(default_factory=list)
    """What the part's input stands for: real nodes of the graph."""

    def resolve(self, wire: Input) -> list[Input]:
        """What a name in ``from`` stands for: an output of a part, the part's own input, or a node of this file."""
        if self.input is not None and wire.node == self.input.text and not wire.port:
            return self.feeds
        part = self.parts.get(wire.node)
        if part is None:
            return [Input(self.prefix + wire.node, wire.port, wire.at)]
        port = wire.port or (next(iter(part.outputs)) if len(part.outputs) == 1 else "")
        inside = part.outputs.get(port)
        if inside is None:
            return []
        node, _, inner = inside.text.partition(".")
        return [Input(found.node, found.port, wire.at) for found in part.resolve(Input(node, inner, wire.at))]


class Reader:
    """Reads the files of one graph; ``texts`` are those of parts that somebody has read already, by path."""

    def __init__(
        self, graph: Path, registry: Mapping[str, NodeEntry], problems: Problems, texts: Mapping[str, str] | None = None
    ) -> None:
        self.graph = graph
        self.root = graph.parent.resolve()
        self.registry = registry
        self.problems = problems
        self.given = texts
        self.texts: dict[str, str] = {}
        self._uses = 0

    def top(self, tree: Tree | None) -> Scope | None:
        """The graph's own file, with its parts; None when nothing can be said of its nodes."""
        found = _top(tree, self.problems, GRAPH_KEYS)
        if found is None:
            return None
        at, entries, nodes = found
        scope = Scope("", self.graph, at, nodes, self._registry(entries, self.graph))
        self._parts(scope, ())
        return scope

    def _parts(self, scope: Scope, around: tuple[Path, ...]) -> None:
        for name, entry in scope.nodes.entries.items():
            use = entry.value.entries.get("use") if isinstance(entry.value, YamlMapping) else None
            if use is None or not isinstance(use.value, Scalar) or not is_part(use.value.text):
                continue
            part = self._part(use.value, scope, f"{scope.prefix}{name}.", around)
            # A part that cannot be read stays a part, so that its name is known; all else of it is unknown.
            scope.parts[name] = part or Scope(
                f"{scope.prefix}{name}.", scope.path, entry.key, YamlMapping(entry.key, {}), {}
            )

    def _part(self, use: Scalar, user: Scope, prefix: str, around: tuple[Path, ...]) -> Scope | None:
        path = self._inside(use, user.path.parent, "part")
        self._uses += 1
        if path is None or self.problems.full:
            return None
        if path.resolve() in (self.graph.resolve(), *around):
            self.problems.add("part-in-itself", f"{use.text} uses itself, so there is no end of it", use.at)
            return None
        if self._uses > MOST:
            self.problems.add("too-many-parts", f"a graph uses parts {MOST} times at most", use.at)
            return None
        text = self._text(path, use)
        if text is None:
            return None
        name = str(path)
        self.texts[name] = text
        self.problems.add_text(name, text)
        start = Position(1, 1, path=name)
        before = len(self.problems)
        tree = read(text, self.problems, start)
        if tree is None and len(self.problems) > before:
            return None
        found = _top(tree, self.problems, PART_KEYS, start)
        if found is None:
            return None
        at, entries, nodes = found
        scope = Scope(prefix, path, at, nodes, self._registry(entries, path))
        self._ports(scope, entries, tree.at if tree else start)
        self._parameters(scope, entries)
        self._parts(scope, (*around, path.resolve()))
        return scope

    def _text(self, path: Path, use: Scalar) -> str | None:
        if self.given is not None and str(path) in self.given:
            return self.given[str(path)]
        try:
            with open(path, "rb") as file:
                raw = file.read(LARGEST + 1)
            return plain_text(raw.decode("utf-8", errors="replace" if len(raw) > LARGEST else "strict"))
        except OSError as error:
            self.problems.add("unreadable", f"{use.text} cannot be read: {error.strerror or error}", use.at)
        except UnicodeDecodeError as error:
            self.problems.add("not-utf8", f"{use.text} is not text in UTF-8: see byte {error.start}", use.at)
        return None

    def _inside(self, written: Scalar, folder: Path, what: str) -> Path | None:
        """The path that is meant, relative to its file; None when it leads out of the graph's directory."""
        path = folder / written.text
        if Path(written.text).is_absolute() or not path.resolve().is_relative_to(self.root):
            message = f"{written.text} lies outside the directory of the graph"
            self.problems.add(f"{what}-outside", message, written.at, f"put it into {self.root}")
            return None
        return path

    # Own nodes.

    def _registry(self, entries: Mapping[str, Entry], path: Path) -> Mapping[str, NodeEntry]:
        """What is installed, and what the file imports."""
        imports = entries.get("import")
        if imports is None:
            return self.registry
        if not isinstance(imports.value, YamlList):
            if not isinstance(imports.value, Invalid):
                help = "write  import: [my_nodes.py]"
                self.problems.add("bad-import", "import is a list of Python files", imports.value.at, help)
            return self.registry
        found = dict(self.registry)
        for item in imports.value.items:
            if isinstance(item, Invalid):
                continue
            if not isinstance(item, Scalar) or not item.text.endswith(".py"):
                help = "a package is installed and needs no import; a file is written  import: [my_nodes.py]"
                self.problems.add("bad-import", "import wants Python files", item.at, help)
                continue
            file = self._inside(item, path.parent, "import")
            if file is not None:
                self._import(item, file.resolve(), found)
        return found

    def _import(self, item: Scalar, file: Path, found: dict[str, NodeEntry]) -> None:
        try:
            brought = from_file(file)
        except BrokenImport as error:
            self.problems.add("broken-import", str(error).replace(file.name, item.text, 1), item.at, trace=error.trace)
            return
        except NameClash as error:
            self.problems.add("name-clash", str(error), item.at, "give one of them another name")
            return
        for entry in brought:
            other = found.get(entry.name)
            if not NAME.fullmatch(entry.name):
                help = "a name is a small letter, then small letters, digits and _ (64 at most)"
                self.problems.add("bad-name", f'"{entry.name}" in {item.text} is no name for a node', item.at, help)
            elif other is not None and other != entry:
                clash = NameClash(entry.name, other.place, entry.place)
                self.problems.add("name-clash", str(clash), item.at, f"give the one in {item.text} another name")
            else:
                found[entry.name] = entry

    # What a part shows to its user.

    def _ports(self, scope: Scope, entries: Mapping[str, Entry], at: Position) -> None:
        given = entries.get("input")
        if given is None:
            help = "add  input: NAME  and write  from: NAME  in the nodes that it goes to"
            self.problems.add("missing-input", "a part says how its input is called", at, help)
        elif not isinstance(given.value, Scalar) or not NAME.fullmatch(given.value.text):
            if not isinstance(given.value, Invalid):
                self.problems.add("bad-input", "input is a name for what comes in", given.value.at)
        elif given.value.text in scope.nodes.entries:
            message = f"the input and a node are both called {given.value.text}"
            self.problems.add("bad-input", message, given.value.at, "give the input another name")
        else:
            scope.input = given.value
        outputs = entries.get("outputs")
        if outputs is None:
            return
        if not isinstance(outputs.value, YamlMapping):
            if not isinstance(outputs.value, Invalid):
                help = "write  outputs: {name: node}"
                self.problems.add("bad-outputs", "outputs is a mapping of names to nodes", outputs.value.at, help)
            return
        for name, entry in outputs.value.entries.items():
            node = entry.value.text.partition(".")[0] if isinstance(entry.value, Scalar) else ""
            if isinstance(entry.value, Scalar) and node in scope.nodes.entries:
                scope.outputs[name] = entry.value
            elif not isinstance(entry.value, Invalid):
                help = did_you_mean(
                    node, scope.nodes.entries, f"the nodes are {listed(list(scope.nodes.entries)[:20])}"
                )
                message = f'output "{name}" wants a node of the part'
                self.problems.add("bad-outputs", message, entry.value.at, help)

    def _parameters(self, scope: Scope, entries: Mapping[str, Entry]) -> None:
        given = entries.get("parameters")
        if given is None or isinstance(given.value, Invalid):
            return
        if not isinstance(given.value, YamlMapping):
            help = "write  parameters: {name: {default: VALUE}}"
            self.problems.add("bad-parameters", "parameters is a mapping of names", given.value.at, help)
            return
        used = set(_names(scope.nodes))
        for name, entry in given.value.entries.items():
            if name in scope.nodes.entries or not NAME.fullmatch(name):
                self.problems.add("bad-parameters", f"a parameter cannot be called {name}", entry.key)
            elif name not in used:
                help = f"write ${name} where its value belongs, or remove it"
                self.problems.add("unused-parameter", f"no node of the part uses {name}", entry.key, help)
            if isinstance(entry.value, YamlMapping):
                for key in entry.value.entries.keys() - set(PARAMETER_KEYS):
                    help = did_you_mean(key, PARAMETER_KEYS, f"its keys are {listed(PARAMETER_KEYS)}")
                    self.problems.add(
                        "unknown-key", f'a parameter has no key "{key}"', entry.value.entries[key].key, help
                    )
            elif not isinstance(entry.value, Invalid) and not _nothing(entry.value):
                help = f"write  {name}: {{default: …}}"
                self.problems.add("bad-parameters", f"{name} is no mapping", entry.value.at, help)
            scope.parameters[name] = entry


def is_part(use: str) -> bool:
    """Whether ``use`` names a file and not a node."""
    return "/" in use or use.endswith((".yaml", ".yml"))


def plain_text(text: str) -> str:
    """A file's text without what editors of some systems leave in it."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def arguments(part: Scope, name: str, at: Position, with_: YamlMapping | None, problems: Problems) -> dict[str, Tree]:
    """The value of each parameter: what ``with`` says, or its default. ``name`` at ``at`` is who uses the part.

    ``with_`` is None when it could not be read.
    """
    if with_ is None:
        return dict.fromkeys(part.parameters, Invalid(at))
    for key in with_.entries.keys() - part.parameters.keys():
        known = [*part.parameters, *part.nodes.entries]
        help = did_you_mean(key, known, f"it has {listed(part.parameters)}")
        message = f'{name} ({part.path.name}) has no parameter "{key}"'
        problems.add("unknown-parameter", message, with_.entries[key].key, help)
    values: dict[str, Tree] = {}
    for key, declared in part.parameters.items():
        known_values = declared.value.entries if isinstance(declared.value, YamlMapping) else {}
        if key in with_.entries:
            values[key] = with_.entries[key].value
        elif "default" in known_values:
            values[key] = known_values["default"].value
        else:
            about = known_values.get("description")
            help = f"{key}: {about.value.text}" if about and isinstance(about.value, Scalar) else ""
            problems.add("missing-parameter", f'{name} ({part.path.name}) needs "{key}"', at, help)
            values[key] = Invalid(at)
    return values


def filled(tree: Tree, values: Mapping[str, Tree], problems: Problems) -> Tree:
    """``tree`` with the parameters' values where it says ``$name``."""
    if isinstance(tree, YamlList):
        return YamlList(tree.at, [filled(item, values, problems) for item in tree.items])
    if isinstance(tree, YamlMapping):
        entries = {key: Entry(entry.key, filled(entry.value, values, problems)) for key, entry in tree.entries.items()}
        return YamlMapping(tree.at, entries)
    if not isinstance(tree, Scalar):
        return tree
    refused = False

    def value(match: re.Match[str]) -> str:
        nonlocal refused
        name = match["name"]
        if name is None:
            return "$"
        given = values.get(name)
        if given is None:
            help = did_you_mean(
                name, values, f"add  parameters: {{{name}: {{}}}}, or write $${name} for the text ${name}"
            )
            problems.add("unknown-parameter", f"the part has no parameter {name}", tree.at, help)
        elif not isinstance(given, Scalar | Invalid):
            problems.add("bad-parameter", f"{name} stands inside a text here, so it must be one value", given.at)
        refused = refused or not isinstance(given, Scalar)
        return given.text if isinstance(given, Scalar) else ""

    whole = _PARAMETER.fullmatch(tree.text)
    if whole and whole["name"] in values:
        return values[whole["name"]]
    text = _PARAMETER.sub(value, tree.text)
    return Invalid(tree.at) if refused else Scalar(tree.at, text, tree.plain)


def _names(tree: Tree) -> Iterator[str]:
    if isinstance(tree, Scalar):
        yield from (match["name"] for match in _PARAMETER.finditer(tree.text) if match["name"])
    for inner in tree.items if isinstance(tree, YamlList) else ():
        yield from _names(inner)
    for entry in tree.entries.values() if isinstance(tree, YamlMapping) else ():
        yield from _names(entry.value)


def _nothing(tree: Tree) -> bool:
    return isinstance(tree, Scalar) and tree.plain and not tree.text


def _top(
    tree: Tree | None, problems: Problems, keys: tuple[str, ...], start: Position = BEGIN
) -> tuple[Position, dict[str, Entry], YamlMapping] | None:
    """Check the keys of a file; return the place of the key ``nodes``, all entries, and what ``nodes`` holds."""
    if not isinstance(tree, YamlMapping):
        if not isinstance(tree, Invalid):
            message = "the file is empty" if tree is None else "the file is no mapping"
            problems.add("not-a-graph", message, tree.at if tree else start, "begin with  flowcore: 1")
        return None
    entries = tree.entries
    for key in entries.keys() - set(keys):
        help = did_you_mean(key, keys, f"the keys of a graph are {listed(keys)}")
        if key in PART_KEYS:
            help = f"{key} is for a part: a file that another graph names with  use: ./part.yaml"
        problems.add("unknown-key", f'a graph has no key "{key}"', entries[key].key, help)
    version = entries.get("flowcore")
    if version is None:
        problems.add("missing-version", "the file does not say what it is", tree.at, "begin with  flowcore: 1")
    elif not isinstance(version.value, Scalar) or version.value.text != VERSION:
        message = f"this flowcore reads graphs of version {VERSION}"
        problems.add("unknown-version", message, version.value.at, f"write  flowcore: {VERSION}")
    description = entries.get("description")
    if description is not None and not isinstance(description.value, Scalar | Invalid):
        problems.add("bad-description", "description is text", description.value.at)
    nodes = entries.get("nodes")
    if nodes is None:
        problems.add("missing-nodes", "the graph has no nodes", tree.at, "add  nodes:")
        return None
    if not isinstance(nodes.value, YamlMapping) or not nodes.value.entries:
        if not isinstance(nodes.value, Invalid):
            help = "write  name: {use: NODE, from: NAME}  below it, one for each node"
            problems.add("missing-nodes", "nodes holds no nodes by name", nodes.key, help)
        return None
    return nodes.key, entries, nodes.value
