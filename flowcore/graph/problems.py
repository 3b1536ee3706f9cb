"""The problems of one graph, collected while it is read: all of them are reported together."""

from __future__ import annotations

from collections.abc import Mapping

from flowcore.diagnostics import Position, Problem
from flowcore.errors import GraphError

MAX_PROBLEMS = 100
"""Problems of one file at most: a file with more is no graph, and each costs a search for a similar name."""

Lines = tuple[str, ...]


class Problems:
    """The problems found so far, and the text of the files in which they lie.

    ``path`` and ``text`` are the graph's own; ``subgraphs`` holds the texts of its sub-graphs by path.
    """

    def __init__(self, path: str, text: str, subgraphs: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.lines = {name: source.split("\n") for name, source in {**(subgraphs or {}), "": text}.items()}
        self._found: dict[Problem, None] = {}  # once each

    def add_text(self, path: str, text: str) -> None:
        """Add the text of a sub-graph, so that positions in it can be shown."""
        self.lines[path] = text.split("\n")

    def __len__(self) -> int:
        return len(self._found)

    @property
    def full(self) -> bool:
        """True once the search for more problems may stop."""
        return len(self._found) >= MAX_PROBLEMS

    def add(
        self, code: str, message: str, at: Position, help: str = "", *, trace: Lines = (), notes: Lines = ()
    ) -> None:
        """Add a problem at a place of the graph file, of a sub-graph, or of a ``--set`` argument.

        A sub-graph is checked for each of its uses; a problem that repeats in it is kept for the first use only.
        """
        if at.path and any((known.code, known.position) == (code, at) for known in self._found):
            return
        if at.argument:
            self._found[Problem(code, message, "--set", at, at.argument, help, trace, notes)] = None
        elif not self.full:
            self._found[Problem(code, message, at.path or self.path, at, self.line(at), help, trace, notes)] = None

    def extend(self, others: Problems) -> None:
        """Add all problems of ``others``."""
        self._found |= others._found

    def line(self, at: Position) -> str:
        """The text of the line at ``at``; empty beyond the end of the file."""
        lines = self.lines[at.path]
        return lines[at.line - 1] if at.line <= len(lines) else ""

    def raise_if_any(self) -> None:
        """Raise `GraphError` with every problem found so far."""
        if self._found:
            raise GraphError(self.sorted())

    def sorted(self) -> list[Problem]:
        """Sort problems: those of the file by position, of its sub-graphs, of the command line last."""
        return sorted(self._found, key=lambda p: (bool((at := p.position).argument), at.path, at.line, at.column))
