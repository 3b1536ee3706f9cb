"""The node types that a graph file may use: those that are installed, and those of the Python files that it imports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from flowcore.errors import BrokenImport, NameClash
from flowcore.graph.problems import Problems
from flowcore.graph.source import Entry, Invalid, Scalar, YamlList
from flowcore.registry import Entry as NodeEntry
from flowcore.registry import from_file, read_source

NAME = re.compile("[a-z][a-z0-9_]{0,63}")
"""A name of a node, of a node type, or of a sub-graph's input or parameter."""
NAME_RULE = "a name is a small letter, then small letters, digits and _ (64 at most)"


class Imports:
    """Reads the key ``import``. ``root`` is the graph's directory, ``installed`` the node types without any import.

    ``given`` holds texts of Python files that were read before, by path.
    """

    def __init__(
        self, root: Path, installed: Mapping[str, NodeEntry], problems: Problems, given: Mapping[str, str] | None = None
    ) -> None:
        self.root = root
        self.installed = installed
        self.problems = problems
        self.given = given or {}
        self.texts: dict[str, str] = {}
        """The texts of all Python files, by path; bytes that are not UTF-8 are surrogates in them."""
        self.imported: dict[str, NodeEntry] = {}
        """The node types of all files that were imported so far, for suggestions."""

    def inside(self, written: Scalar, folder: Path, kind: str) -> Path | None:
        """The path ``written`` in a file of ``folder``; None when it leads out of the graph's directory."""
        path = folder / written.text
        if Path(written.text).is_absolute() or not path.resolve().is_relative_to(self.root):
            message = f"{written.text} lies outside the directory of the graph"
            self.problems.add(f"{kind}-outside", message, written.at, f"put it into {self.root}")
            return None
        return path

    def of(self, entries: Mapping[str, Entry], path: Path) -> Mapping[str, NodeEntry]:
        """The node types for the file at ``path`` with these top-level entries. Runs the files that it imports."""
        imports = entries.get("import")
        if imports is None:
            return self.installed
        if not isinstance(imports.value, YamlList):
            if not isinstance(imports.value, Invalid):
                help = "write  import: [my_nodes.py]"
                self.problems.add("bad-import", "import is a list of Python files", imports.value.at, help)
            return self.installed
        found = dict(self.installed)
        for item in imports.value.items:
            if isinstance(item, Invalid):
                continue
            if not isinstance(item, Scalar) or not item.text.endswith(".py"):
                help = "a package is installed and needs no import; a file is written  import: [my_nodes.py]"
                self.problems.add("bad-import", "import needs Python files", item.at, help)
                continue
            file = self.inside(item, path.parent, "import")
            if file is not None:
                self._add(item, file.resolve(), found)
        return found

    def _add(self, item: Scalar, file: Path, found: dict[str, NodeEntry]) -> None:
        try:
            text = self.given.get(str(file))
            source = read_source(file) if text is None else text.encode(errors="surrogateescape")
            self.texts[str(file)] = source.decode(errors="surrogateescape")
            imported = from_file(file, source)
        except BrokenImport as error:
            self.problems.add("broken-import", str(error).replace(file.name, item.text, 1), item.at, trace=error.trace)
            return
        except NameClash as error:
            self.problems.add("name-clash", str(error), item.at, "give one of them another name")
            return
        for entry in imported:
            other = found.get(entry.name)
            if not NAME.fullmatch(entry.name):
                message = f'"{entry.name}" in {item.text} is no name for a node'
                self.problems.add("bad-name", message, item.at, NAME_RULE)
            elif other is not None and other != entry:
                clash = NameClash(entry.name, other.place, entry.place)
                self.problems.add("name-clash", str(clash), item.at, f"give the one in {item.text} another name")
            else:
                found[entry.name] = self.imported[entry.name] = entry
