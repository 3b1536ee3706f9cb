"""One entry of ``nodes`` after another: its keys, its type, its config. How they hang together is for `wires`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import get_args

from flowcore.diagnostics import Position, did_you_mean, listed
from flowcore.errors import BrokenImport, CannotStart, FlowcoreError, MissingExtra, NameClash
from flowcore.graph.broken import describe_error
from flowcore.graph.fields import check
from flowcore.graph.model import Input, OnError, QueueConfig
from flowcore.graph.source import Invalid, Scalar, Tree, YamlList, YamlMapping
from flowcore.graph.subgraphs import NAME
from flowcore.graph.values import Values
from flowcore.node import Config, Listener, Node
from flowcore.registry import Entry

KEYS = ("use", "from", "with", "queue", "on_error")
PART_KEYS = ("use", "from", "with")


@dataclass
class ParsedNode:
    """A node as far as it could be read: None stands for what is wrong and was reported.

    ``inputs`` is empty when the file says no ``from``.
    """

    name: str
    at: Position
    cls: type[Node] | None = None
    config: Config | None = None
    inputs: list[Input] | None = field(default_factory=list)
    queue: QueueConfig | None = None
    on_error: OnError | None = None
    places: dict[str, Position] = field(default_factory=dict)


@dataclass(frozen=True)
class SubgraphUse:
    """What a graph says where it uses a part: ``from`` and ``with``, None for what is wrong and was reported."""

    inputs: list[Input] | None
    fields: YamlMapping | None


class NodeParser:
    """Reads nodes; ``registry`` says which types there are, so a graph can name nothing else to import."""

    def __init__(self, registry: Mapping[str, Entry], values: Values) -> None:
        self.registry = registry
        self.values = values
        self.problems = values.problems

    def draft(self, name: str, at: Position, tree: Tree, prefix: str = "") -> ParsedNode:
        """Read one entry and note all that is wrong with it; ``prefix`` is that of the part it stands in."""
        draft = ParsedNode(prefix + name, at)
        if not NAME.fullmatch(name):
            help = "a name is a small letter, then small letters, digits and _ (64 at most)"
            self.problems.add("bad-name", f'"{name}" is no name for a node', at, help)
        if not isinstance(tree, YamlMapping):
            draft.inputs = None
            if not isinstance(tree, Invalid):
                self.problems.add(
                    "bad-node", f"{draft.name} is no mapping", tree.at, "write {use: …, from: …, with: {…}}"
                )
            return draft
        entries = tree.entries
        draft.places = dict(_places(tree, ""))
        if "use" in entries:
            draft.cls = self._type(entries["use"].value)
        else:
            self.problems.add("missing-use", f"{draft.name} does not say which node it is", at, "add  use: NODE")
        for key in entries.keys() - set(KEYS):
            self._unknown(key, entries[key].key, draft)
        if "from" in entries:
            draft.inputs = self._inputs(entries["from"].value)
        queue = entries.get("queue")
        if queue is not None and (fields := self._mapping("queue", queue.value)) is not None:
            draft.queue = check(QueueConfig, fields, queue.key, f"{draft.name}'s queue", self.values)
        if "on_error" in entries:
            draft.on_error = self._on_error(entries["on_error"].value)
        with_ = entries.get("with")
        fields = YamlMapping(at, {}) if with_ is None else self._mapping("with", with_.value)
        if draft.cls is not None and fields is not None:
            draft.config = check(draft.cls.Config, fields, at, f"{draft.name} ({draft.cls.name})", self.values)
            self._build(draft)
        return draft

    def use_of_part(self, name: str, at: Position, tree: Tree) -> SubgraphUse:
        """Read an entry whose ``use`` names a part, and note what is wrong with its keys."""
        if not NAME.fullmatch(name):
            help = "a name is a small letter, then small letters, digits and _ (64 at most)"
            self.problems.add("bad-name", f'"{name}" is no name for a node', at, help)
        assert isinstance(tree, YamlMapping)  # noqa: S101  # it has a `use`
        for key in tree.entries.keys() - set(PART_KEYS):
            help = did_you_mean(key, PART_KEYS, f"the keys of a part's use are {listed(PART_KEYS)}")
            if key in KEYS:
                help = f"write {key} at a node of the part"
            self.problems.add("unknown-key", f'the use of a part has no key "{key}"', tree.entries[key].key, help)
        from_, with_ = tree.entries.get("from"), tree.entries.get("with")
        inputs = [] if from_ is None else self._inputs(from_.value)
        return SubgraphUse(inputs, YamlMapping(at, {}) if with_ is None else self._mapping("with", with_.value))

    def _type(self, tree: Tree) -> type[Node] | None:
        if not isinstance(tree, Scalar):
            if not isinstance(tree, Invalid):
                self.problems.add("bad-use", "use wants the name of one node", tree.at)
            return None
        entry = self.registry.get(tree.text)
        if entry is None:
            help = did_you_mean(tree.text, self.registry, "`flowcore nodes` lists them all")
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

    def _unknown(self, key: str, at: Position, draft: ParsedNode) -> None:
        help = did_you_mean(key, KEYS, f"a node's keys are {listed(KEYS)}")
        if draft.cls is not None and key in draft.cls.Config.model_fields:
            help = f"{key} is a field of {draft.cls.name}: write  with: {{{key}: …}}"
        self.problems.add("unknown-key", f'a node has no key "{key}"', at, help)

    def _inputs(self, tree: Tree) -> list[Input] | None:
        trees = tree.items if isinstance(tree, YamlList) else [tree]
        found: dict[str, Input] = {}
        for item in trees:
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

    def _mapping(self, key: str, tree: Tree) -> YamlMapping | None:
        """The fields of a node's ``with`` or ``queue``; none at all when nothing stands behind the colon."""
        if isinstance(tree, YamlMapping):
            return tree
        if isinstance(tree, Scalar) and tree.plain and not tree.text:
            return YamlMapping(tree.at, {})
        if not isinstance(tree, Invalid):
            self.problems.add(f"bad-{key}", f"{key} is a mapping", tree.at, f"write  {key}: {{name: value}}")
        return None

    def _on_error(self, tree: Tree) -> OnError | None:
        for choice in get_args(OnError):
            if isinstance(tree, Scalar) and tree.text == choice:
                return choice  # type: ignore[no-any-return]  # get_args knows no types
        if not isinstance(tree, Invalid):
            choices = get_args(OnError)
            text = tree.text if isinstance(tree, Scalar) else ""
            self.problems.add(
                "bad-on-error", f"on_error is {listed(choices, 'or')}", tree.at, did_you_mean(text, choices)
            )
        return None

    def _build(self, draft: ParsedNode) -> None:
        """Ask the node itself: what it needs must be installed, and its config must make one."""
        cls, config = draft.cls, draft.config
        if cls is None or config is None:
            return
        if issubclass(cls, Listener) and draft.queue is not None:
            at = draft.places["queue"]
            self.problems.add("listener-with-queue", "a queue stands before a node, and nothing is before this one", at)
        try:
            for extra in cls.requires(config):
                extra.check(f"{draft.name} ({cls.name})")
            cls(config)
            cls.accepts(config)
            cls.make_resource(config)
        except MissingExtra as error:
            self.problems.add("missing-extra", str(error), draft.places["use"])
        except CannotStart as error:
            at = draft.places.get(f"with.{error.field}", draft.at)
            message = str(error)
            if self._tells_a_secret(message):
                message = f"{error.field or 'the config'} cannot be what the environment holds"
            self.problems.add("bad-value", f"{draft.name} ({cls.name}): {message}", at)
        except (Exception, SystemExit) as error:  # whatever somebody's node does, it must not end a check of graphs
            message, trace = describe_error(cls, error, self.values.held())
            at = draft.places.get("use", draft.at)
            self.problems.add("broken-node", f"{draft.name} ({cls.name}) cannot be made: {message}", at, trace=trace)

    def _tells_a_secret(self, text: str) -> bool:
        return any(secret in text for secret in self.values.held())


def _places(tree: Tree, path: str) -> Iterator[tuple[str, Position]]:
    if isinstance(tree, YamlMapping):
        for key, entry in tree.entries.items():
            yield f"{path}{key}", entry.value.at
            yield from _places(entry.value, f"{path}{key}.")
