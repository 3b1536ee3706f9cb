"""Applies ``--set node.key=value``: values of the command line replace those of the file before it is checked."""

from __future__ import annotations

from collections.abc import Sequence

from flowcore.diagnostics import Position, did_you_mean
from flowcore.graph.graph_file import GraphFile
from flowcore.graph.problems import Problems
from flowcore.graph.source import MAX_DEPTH, Entry, Invalid, Scalar, Tree, YamlMapping, read

OPTION = "--set "


def apply(settings: Sequence[str], graph: GraphFile, problems: Problems) -> None:
    """Put each setting's value into the tree of its node; the last one of a key wins.

    ``node.key`` is a field of the node's ``with``, ``node.key.deeper`` a field within it, and ``node.queue.max`` and
    ``node.queue.on_full`` are the node's border. ``agent.node.key`` is the same for a node in the sub-graph ``agent``.
    """
    for setting in settings:
        _Setting(setting, problems).apply(graph)


class _Setting:
    def __init__(self, text: str, problems: Problems) -> None:
        self.text = text
        self.problems = problems

    def _at(self, start: int, length: int) -> Position:
        return Position(1, len(OPTION) + start + 1, max(1, length), OPTION + self.text)

    def apply(self, graph: GraphFile) -> None:
        path, equals, value = self.text.partition("=")
        names = path.split(".")
        start = 0
        while len(names) > 2 and (inner := graph.subgraphs.get(names[0])) and names[1] in inner.nodes.entries:
            start += len(names[0]) + 1
            graph = inner
            del names[0]
        nodes = graph.nodes
        if not equals or len(names) < 2 or not all(names) or len(names) > MAX_DEPTH:
            self._problem("bad-setting", "a setting is node.key=value", 0, len(self.text), "for example call.port=3400")
            return
        if names[0] not in nodes.entries:
            known = f"the nodes are {', '.join(list(nodes.entries)[:20])}"
            message = f'there is no node "{names[0]}" in {self.problems.path}'
            self._problem("unknown-node", message, start, len(names[0]), did_you_mean(names[0], nodes.entries, known))
            return
        node = nodes.entries[names[0]].value
        if not isinstance(node, YamlMapping):
            return  # reported with the node
        keys = names[1:] if names[1] == "queue" else ["with", *names[1:]]
        if keys == ["queue"]:
            self._problem("bad-setting", "a queue has several values: set one", 0, len(path), f"{path}.max=5s")
            return
        tree = self._value(value, len(path) + 1)
        if tree is not None:
            self._put(node, keys, tree, start + len(names[0]) + 1)

    def _put(self, around: YamlMapping, keys: list[str], value: Tree, start: int) -> None:
        """Put ``value`` behind ``keys``, and make the mappings on the way that the file leaves out."""
        for number, key in enumerate(keys):
            written = number > 0 or key != "with"  # `with` is understood
            at = self._at(start, len(key)) if written else self._at(start, len(self.text))
            start += len(key) + 1 if written else 0
            if number == len(keys) - 1:
                around.entries[key] = Entry(at, value)
                return
            inner = around.entries.get(key)
            if inner is not None and isinstance(inner.value, Invalid):
                return  # reported
            if inner is None or not isinstance(inner.value, YamlMapping):
                if inner is not None and number == 0 and not _empty(inner.value):
                    return  # `with` is no mapping: reported with the node
                inner = around.entries[key] = Entry(inner.key if inner else at, YamlMapping(at, {}))
            assert isinstance(inner.value, YamlMapping)  # noqa: S101  # for the type checker
            around = inner.value

    def _value(self, text: str, start: int) -> Tree | None:
        """Text as written, or YAML if it begins with a quote or a bracket; None after a problem.

        ``wav.path={flow}.wav`` begins like a mapping and is none: a text that is not YAML stays text.
        """
        at = self._at(start, len(text))
        if text[:1] in ("[", "{", '"', "'"):
            trial = Problems(self.problems.path, "")
            tree = read(text, trial, at)
            if not trial:
                return tree
            if any(problem.code != "yaml-syntax" for problem in trial.sorted()):
                self.problems.extend(trial)
                return None
        return Scalar(at, text, plain=bool(text))  # an empty value is empty text, as in a shell

    def _problem(self, code: str, message: str, start: int, length: int, help: str) -> None:
        self.problems.add(code, message, self._at(start, length), help)


def _empty(tree: Tree) -> bool:
    return isinstance(tree, Scalar) and tree.plain and tree.text in ("", "~", "null")
