"""Parses the nodes of an expanded graph one by one: keys, type, config. Their wires are for `wires`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from flowcore.diagnostics import Position, did_you_mean, listed
from flowcore.errors import BrokenImport, CannotStart, FlowcoreError, MissingExtra, NameClash
from flowcore.graph.fields import check
from flowcore.graph.model import Input, OnError, QueueConfig
from flowcore.graph.source import Invalid, Scalar, Tree, YamlMapping, mapping_of
from flowcore.graph.subgraphs import FlatNode
from flowcore.graph.values import Values
from flowcore.listener import Listener
from flowcore.node import Config, Node
from flowcore.registry import Entry, describe_error

KEYS = ("use", "from", "with", "queue", "on_error")


@dataclass
class ParsedNode:
    """A node as far as it could be read: None stands for a value that is wrong and was reported.

    ``inputs`` is empty when the file says no ``from``. ``places`` maps ``use``, ``with.window``, … to their positions.
    """

    name: str
    at: Position
    inputs: list[Input] | None
    cls: type[Node] | None = None
    config: Config | None = None
    queue: QueueConfig | None = None
    on_error: OnError | None = None
    places: dict[str, Position] = field(default_factory=dict)


class NodeParser:
    """Parses nodes, and adds their mistakes to the problems of ``values``.

    ``imported`` are the node types that any file of the graph imports, for suggestions.
    """

    def __init__(self, values: Values, imported: Mapping[str, Entry]) -> None:
        self.values = values
        self.problems = values.problems
        self.imported = imported

    def parse(self, flat: FlatNode) -> ParsedNode:
        """Check the entry of one node, its config, and that its class can make a node of it."""
        node = ParsedNode(flat.name, flat.at, flat.inputs)
        if not isinstance(flat.tree, YamlMapping):
            if not isinstance(flat.tree, Invalid):
                help = "write {use: …, from: …, with: {…}}"
                self.problems.add("bad-node", f"{node.name} is no mapping", flat.tree.at, help)
            return node
        entries = flat.tree.entries
        node.places = dict(_places(flat.tree, ""))
        if "use" in entries:
            node.cls = self._type(entries["use"].value, flat)
        else:
            self.problems.add("missing-use", f"{node.name} does not say which node it is", flat.at, "add  use: NODE")
        for key in entries.keys() - set(KEYS):
            self._unknown(key, entries[key].key, node)
        queue = entries.get("queue")
        if queue is not None and (fields := mapping_of("queue", queue.value, self.problems)) is not None:
            node.queue = check(QueueConfig, fields, queue.key, f"{node.name}'s queue", self.values)
        if "on_error" in entries:
            node.on_error = self._on_error(entries["on_error"].value)
        with_ = entries.get("with")
        fields = YamlMapping(flat.at, {}) if with_ is None else mapping_of("with", with_.value, self.problems)
        if node.cls is not None and fields is not None:
            node.config = check(node.cls.Config, fields, flat.at, f"{node.name} ({node.cls.name})", self.values)
            self._build(node)
        if node.cls is not None and issubclass(node.cls, Listener) and flat.at.path:
            message = f"{node.name} accepts calls: a sub-graph works on what its input brings"
            self.problems.add("listener-in-subgraph", message, node.places["use"], "put it into the graph itself")
        return node

    def _type(self, tree: Tree, flat: FlatNode) -> type[Node] | None:
        if not isinstance(tree, Scalar):
            if not isinstance(tree, Invalid):
                self.problems.add("bad-use", "use is the name of one node", tree.at)
            return None
        entry = flat.types.get(tree.text)
        if entry is None:
            help = did_you_mean(tree.text, [*self.imported, *flat.types], "`flowcore nodes` lists them all")
            if tree.text in self.imported:
                here = Path(tree.at.path or self.problems.path).parent.resolve()
                help = f"add  import: [{os.path.relpath(self.imported[tree.text].file, here)}]  to this file"
            self.problems.add("unknown-node-type", f'there is no node "{tree.text}"', tree.at, help)
            return None
        try:
            return entry.load()
        except NameClash as error:
            self.problems.add("name-clash", str(error), tree.at, "uninstall one of the two packages")
        except BrokenImport as error:
            message = f'node "{entry.name}" cannot be loaded: {error}'
            self.problems.add("broken-node", message, tree.at, trace=error.trace)
        except FlowcoreError as error:
            self.problems.add("broken-node", f'node "{entry.name}" cannot be loaded: {error}', tree.at)
        return None

    def _unknown(self, key: str, at: Position, node: ParsedNode) -> None:
        help = did_you_mean(key, KEYS, f"a node's keys are {listed(KEYS)}")
        if node.cls is not None and key in node.cls.Config.model_fields:
            help = f"{key} is a field of {node.cls.name}: write  with: {{{key}: …}}"
        self.problems.add("unknown-key", f'a node has no key "{key}"', at, help)

    def _on_error(self, tree: Tree) -> OnError | None:
        choices = get_args(OnError)
        text = tree.text if isinstance(tree, Scalar) else ""
        if text in choices:
            return text  # type: ignore[return-value]  # get_args knows no types
        if not isinstance(tree, Invalid):
            message = f"on_error is {listed(choices, 'or')}"
            self.problems.add("bad-on-error", message, tree.at, did_you_mean(text, choices))
        return None

    def _build(self, node: ParsedNode) -> None:
        """Ask the node itself: what it needs must be installed, and its config must make one."""
        cls, config = node.cls, node.config
        if cls is None or config is None:
            return
        if issubclass(cls, Listener) and node.queue is not None:
            at = node.places["queue"]
            self.problems.add("listener-with-queue", "a queue stands before a node, and nothing is before this one", at)
        try:
            for extra in cls.requires(config):
                extra.check(f"{node.name} ({cls.name})")
            cls(config)
            cls.accepts(config)
            cls.make_resource(config)
        except MissingExtra as error:
            self.problems.add("missing-extra", str(error), node.places["use"])
        except CannotStart as error:
            at = node.places.get(f"with.{error.field}", node.at)
            message = str(error)
            if any(secret in message for secret in self.values.held()):
                message = f"{error.field or 'the config'} cannot be what the environment holds"
            self.problems.add("bad-value", f"{node.name} ({cls.name}): {message}", at)
        except (Exception, SystemExit) as error:  # a node may raise anything; the check of graphs goes on
            message, trace = describe_error(cls, error, self.values.held())
            at = node.places.get("use", node.at)
            self.problems.add("broken-node", f"{node.name} ({cls.name}) cannot be made: {message}", at, trace=trace)


def _places(tree: Tree, path: str) -> Iterator[tuple[str, Position]]:
    if isinstance(tree, YamlMapping):
        for key, entry in tree.entries.items():
            yield f"{path}{key}", entry.value.at
            yield from _places(entry.value, f"{path}{key}.")
