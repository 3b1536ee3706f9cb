"""What is wrong with a graph, said the way compilers say it: place, code, excerpt, caret, and what would fix it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from flowcore.errors import GraphError
from flowcore.graph.model import Position

WIDTH = 120  # characters of a source line that an excerpt shows at most
LONGEST = 300  # characters of a message, which may quote any name of the file
MOST = 100  # problems of one file; a file with more is not a graph, and each costs a search for what was meant


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. ``code`` is short and stable, for people to search and for tests to compare.

    ``path`` is the file, or ``--set`` when the command line is to blame; ``line`` is the text of the source line at
    ``position``, empty when there is none to show; ``help`` tells what would fix it, or is empty; ``trace`` are lines
    of somebody's code that led to it, ``notes`` further lines before ``help``.
    """

    code: str
    message: str
    path: str
    position: Position
    line: str = ""
    help: str = ""
    trace: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        at = self.position
        place = self.path if at.argument else f"{self.path}:{at.line}:{at.column}"
        lines = [f"{place}: error[{self.code}]: {_printable(self.message[:LONGEST])}"]
        if self.line:
            first = max(0, min(at.column - 1 - WIDTH // 3, len(self.line) - WIDTH))
            excerpt = self.line[first : first + WIDTH]
            before = at.column - 1 - first
            caret = " " * before + "^" * max(1, min(at.length, len(excerpt) - before))
            number = "" if at.argument else at.line
            lines += [f"{number:>4} | {_printable(excerpt)}", f"     | {caret}"]
        lines += [f"     | {_printable(line[:LONGEST])}" for line in self.trace]
        for said in (*self.notes, self.help):
            if said:
                lines.append(f"     = {_printable(said[:LONGEST])}")
        return "\n".join(lines)


class Problems:
    """The problems found so far in one graph, and the text that they point into; ``parts`` has that of its parts."""

    def __init__(self, path: str, text: str, parts: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.lines = {"": text.split("\n")}
        self._found: dict[Problem, None] = {}  # once each
        for other, source in (parts or {}).items():
            self.add_text(other, source)

    def add_text(self, path: str, text: str) -> None:
        """Places may lie in this part too."""
        self.lines[path] = text.split("\n")

    def __len__(self) -> int:
        return len(self._found)

    @property
    def full(self) -> bool:
        """True once there is no use in looking for more."""
        return len(self._found) >= MOST

    def add(
        self,
        code: str,
        message: str,
        at: Position,
        help: str = "",
        trace: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> None:
        """Note a problem at a place of the graph file, of one of its parts, or of a ``--set`` argument.

        A part is checked for each node that uses it; what is wrong with it is noted for the first.
        """
        if at.path and any((known.code, known.position) == (code, at) for known in self._found):
            return
        if at.argument:
            self._found[Problem(code, message, "--set", at, at.argument, help, trace, notes)] = None
        elif not self.full:
            self._found[Problem(code, message, at.path or self.path, at, self.line(at), help, trace, notes)] = None

    def extend(self, others: Problems) -> None:
        """Take over what another search found."""
        self._found |= others._found

    def line(self, at: Position) -> str:
        """The text of the line that a place lies in; empty beyond the end."""
        lines = self.lines[at.path]
        return lines[at.line - 1] if at.line <= len(lines) else ""

    def raise_if_any(self) -> None:
        """Raise `GraphError` with all that was found."""
        if self._found:
            raise GraphError(self.sorted())

    def sorted(self) -> list[Problem]:
        """All problems in the order of the file, those of its parts after it, those of the command line last."""
        return sorted(
            self._found,
            key=lambda p: (bool(p.position.argument), p.position.path, p.position.line, p.position.column),
        )


def closest(word: str, names: Iterable[str]) -> str | None:
    """The name that was most likely meant by ``word``, if one is near enough."""
    # Both are cut: comparing costs the product of the lengths, and a hostile file has long words and many names.
    near = get_close_matches(word[:64], list(names)[:300], n=1)
    return near[0] if near else None


def did_you_mean(word: str, names: Iterable[str], otherwise: str = "") -> str:
    """The help text for a name that does not exist."""
    near = closest(word, names)
    return f'did you mean "{near}"?' if near else otherwise


def listed(names: Iterable[str], last: str = "and") -> str:
    """``a, b and c``, for messages."""
    *head, tail = list(names) or ["nothing"]
    return f"{', '.join(head)} {last} {tail}" if head else tail


def _printable(text: str) -> str:
    """Characters that could move the cursor or hide text (a graph may hold any) shown as a dot, one for one."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "·" for c in text)
