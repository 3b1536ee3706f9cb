"""Parses the text of a graph file to a tree of values with positions: the subset of YAML that has one meaning only.

The tree is built from PyYAML's events, not by its composer: the composer recurses as deep as the file nests, and
follows aliases. Refused with a position, each because of known harm: aliases and anchors (a few lines that expand to
gigabytes, values that contain themselves), tags (Python objects), merge keys (values without a place), repeated keys
(one of them is silently lost), large and deep files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flowcore.diagnostics import Position
from flowcore.graph.problems import Problems

MAX_BYTES = 256 * 1024
MAX_VALUES = 10_000
"""Values and keys; a graph of a hundred nodes has about a thousand."""
MAX_DEPTH = 20
"""Mappings and lists within each other."""

# YAML's printable characters, without NEL, LS and PS: YAML 1.1 breaks lines there, where editors do not.
_UNPRINTABLE = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
# libyaml's parser is 15 times faster than the one in Python; some builds of PyYAML have only the latter.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Scalar:
    """Text as written; ``plain`` without quotes, so that it may mean a number, true, false or null."""

    at: Position
    text: str
    plain: bool


@dataclass(frozen=True)
class YamlList:
    """A list."""

    at: Position
    items: list[Tree]


@dataclass(frozen=True)
class Entry:
    """One value of a mapping, and the position of its key."""

    key: Position
    value: Tree


@dataclass(frozen=True)
class YamlMapping:
    """A mapping; its keys are text as written."""

    at: Position
    entries: dict[str, Entry]


@dataclass(frozen=True)
class Invalid:
    """A value with a problem that was reported: no other problem of it is."""

    at: Position


Tree = Scalar | YamlList | YamlMapping | Invalid


def read(text: str, problems: Problems, origin: Position | None = None) -> Tree | None:
    """Parse one YAML document; None when it is empty, or after a problem.

    ``origin`` is the position of the text's beginning, for a value in a ``--set`` argument.
    """
    origin = origin or Position(1, 1)
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        problems.add("too-large", f"a graph holds at most {MAX_BYTES // 1024} KiB", origin)
        return None
    unprintable = _UNPRINTABLE.search(text)
    if unprintable is not None:
        before = text[: unprintable.start()]
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
        code = f"U+{ord(unprintable[0]):04X}"
        problems.add("bad-character", f"character {code} cannot stand in a graph", _place(origin, line, column))
        return None
    return _Builder(text, problems, origin).build()


def read_file(
    path: str | Path, name: str, problems: Problems, at: Position | None = None, pattern: str = ""
) -> str | None:
    """The text of the file at ``path``, which messages call ``name``; None after a problem, which is shown ``at``.

    ``pattern`` matches the files in a folder of which the user probably meant one.
    """
    at = at or Position(1, 1)
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)  # no more, whatever the path names
        return plain_text(raw.decode("utf-8", errors="replace" if len(raw) > MAX_BYTES else "strict"))
    except OSError as error:
        if pattern and isinstance(error, IsADirectoryError):
            help = f"name the files in it: {Path(path) / pattern}"
            problems.add("unreadable", f"{name} is a file, and this is a folder", at, help)
        else:
            problems.add("unreadable", f"{name} cannot be read: {error.strerror or error}", at)
    except UnicodeDecodeError as error:
        problems.add("not-utf8", f"{name} is not text in UTF-8: see byte {error.start}", at)
    return None


def plain_text(text: str) -> str:
    """``text`` without the byte order mark and the line ends of some editors."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def is_nothing(tree: Tree) -> bool:
    """Whether nothing stands behind the colon."""
    return isinstance(tree, Scalar) and tree.plain and not tree.text


def find(tree: Tree, at: Position, path: Sequence[int | str]) -> tuple[list[str], Position, Tree]:
    """The steps of ``path`` that the file has, the position of the last key or item among them, and its value.

    ``at`` is the position of a path without such steps. Members of a union, in paths of pydantic, are no keys.
    """
    found: list[str] = []
    for step in path:
        if isinstance(tree, YamlMapping) and step in tree.entries:
            at, tree = tree.entries[str(step)].key, tree.entries[str(step)].value
        elif isinstance(tree, YamlList) and isinstance(step, int) and step < len(tree.items):
            tree = tree.items[step]
            at = tree.at
        else:
            continue
        found.append(str(step))
    return found, at, tree


def mapping_of(key: str, tree: Tree, problems: Problems) -> YamlMapping | None:
    """The mapping behind ``key``, empty when nothing stands there; None after a problem."""
    if isinstance(tree, YamlMapping):
        return tree
    if is_nothing(tree):
        return YamlMapping(tree.at, {})
    if not isinstance(tree, Invalid):
        problems.add(f"bad-{key}", f"{key} is a mapping", tree.at, f"write  {key}: {{name: value}}")
    return None


def _place(origin: Position, line: int, column: int, length: int = 1) -> Position:
    """The position of a place that is counted from 0 and from the text's beginning."""
    moved = column + origin.column if line == 0 else column + 1
    return Position(line + origin.line, moved, max(1, length), origin.argument, origin.path)


@dataclass
class _Open:
    """A list or mapping whose end was not parsed yet."""

    start: Any  # a mark of the parser in use
    items: list[Tree] | None
    entries: dict[str, Entry] = field(default_factory=dict)
    key: Scalar | None = None
    awaits_value: bool = False
    tagged: bool = False


class _Stop(Exception):
    """Ends parsing: the text after a problem has no certain meaning."""


class _Builder:
    def __init__(self, text: str, problems: Problems, origin: Position) -> None:
        self.text = text
        self.lines = text.split("\n")
        self.problems = problems
        self.origin = origin
        self.root: Tree | None = None
        self.open: list[_Open] = []
        self.documents = 0
        self.values = 0

    def build(self) -> Tree | None:
        try:
            for event in yaml.parse(self.text, Loader=_LOADER):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            if mark is None or not self._nests_too_deep(mark.index):
                self._syntax(str(error.problem or error.context), mark.line if mark else 0, mark.column if mark else 0)
        except yaml.YAMLError as error:
            self._syntax(str(error), 0, 0)
        except _Stop:
            pass
        else:
            return self.root
        return None

    def _nests_too_deep(self, end: int) -> bool:
        """Report nesting over MAX_DEPTH before ``end``, the index at which the parser stopped; False for none.

        libyaml reads up to 1,024 characters ahead of its events. From PyYAML 6.0.4 on it refuses 1,001 levels there,
        before the event of level 21 comes. The parser in Python has no such limit.
        """
        depth = 0
        with suppress(yaml.YAMLError):
            for event in yaml.parse(self.text[:end], Loader=yaml.SafeLoader):
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                if depth > MAX_DEPTH:
                    self._too_deep(self._at(event.start_mark, event.end_mark))
                    return True
        return False

    def _too_deep(self, at: Position) -> None:
        self.problems.add("too-deep", f"nested more than {MAX_DEPTH} deep", at)

    def _syntax(self, message: str, line: int, column: int) -> None:
        if line >= len(self.lines) or (line == len(self.lines) - 1 and not self.lines[line]):
            # A thing missing at the end of the file is shown behind its last word.
            line = max((n for n, text in enumerate(self.lines) if text.strip()), default=0)
            column = len(self.lines[line])
        written = self.lines[line]
        help = 'write "${NAME}" in quotes, or on a line of its own' if "${" in written else ""
        if "\t" in written[: column + 1]:
            help = "indent with spaces: YAML takes no tabs"
        self.problems.add("yaml-syntax", f"not YAML: {message}", _place(self.origin, line, column), help)

    def _at(self, start: Any, end: Any) -> Position:
        if start.line >= len(self.lines):  # nothing, after the last line
            return _place(self.origin, len(self.lines) - 1, len(self.lines[-1]))
        last = end.column if end.line == start.line else len(self.lines[start.line])
        return _place(self.origin, start.line, start.column, last - start.column)

    def _take(self, event: Any) -> None:  # PyYAML's stubs leave out most of what events hold
        at = self._at(event.start_mark, event.end_mark)
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.problems.add("several-documents", "a graph file holds one document", at, "remove the --- line")
                raise _Stop
        elif isinstance(event, yaml.AliasEvent):
            self._refuse("alias", f"alias *{event.anchor}: a graph says each thing where it is needed", at)
            self._put(Invalid(at))
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            if event.anchor is not None:
                self._refuse("anchor", f"anchor &{event.anchor}: a graph has no use for it", at)
            if event.tag is not None:
                self._refuse("tag", f"tag {event.tag}: a graph's values are text, numbers, lists and mappings", at)
            tagged = event.tag is not None
            if isinstance(event, yaml.ScalarEvent):
                self._put(Invalid(at) if tagged else Scalar(at, event.value, not event.style))
                return
            if len(self.open) == MAX_DEPTH:
                self._too_deep(at)
                raise _Stop
            items: list[Tree] | None = [] if isinstance(event, yaml.SequenceStartEvent) else None
            self.open.append(_Open(event.start_mark, items, tagged=tagged))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self.open.pop()
            where = self._at(done.start, event.end_mark)
            if done.tagged:
                self._put(Invalid(where))
            else:
                self._put(YamlMapping(where, done.entries) if done.items is None else YamlList(where, done.items))

    def _refuse(self, code: str, message: str, at: Position) -> None:
        self.problems.add(code, message, at)
        if self.problems.full:
            raise _Stop

    def _put(self, value: Tree) -> None:
        """Add a finished value to the list or mapping around it."""
        self.values += 1
        if self.values > MAX_VALUES:
            self._refuse("too-large", f"a graph holds at most {MAX_VALUES} values and keys", value.at)
            raise _Stop
        if not self.open:
            self.root = value
            return
        around = self.open[-1]
        if around.items is not None:
            around.items.append(value)
        elif around.awaits_value:
            if around.key is not None:
                around.entries[around.key.text] = Entry(around.key.at, value)
            around.awaits_value = False
        else:
            around.key = self._key(value, around)
            around.awaits_value = True

    def _key(self, value: Tree, around: _Open) -> Scalar | None:
        """The key, or None when its value must be left out."""
        if isinstance(value, Invalid):
            return None
        if not isinstance(value, Scalar):
            self._refuse("bad-key", "a key is a word, not a list or mapping", value.at)
            return None
        if value.plain and value.text == "<<":
            self._refuse("merge-key", "<< merges another mapping: a graph says each thing where it is needed", value.at)
            return None
        if value.text in around.entries:
            first = around.entries[value.text].key.line
            self._refuse("repeated-key", f'"{value.text}" stands here twice, first on line {first}', value.at)
            return None
        return value
