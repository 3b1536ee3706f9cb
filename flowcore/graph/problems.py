"""What is wrong with a graph, said the way compilers say it: place, code, excerpt, caret, and what would fix it."""

from __future__ import annotations

from collections.abc import Iterable
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
    ``position``, empty when there is none to show; ``help`` tells what would fix it, or is empty.
    """

    code: str
    message: str
    path: str
    position: Position
    line: str = ""
    help: str = ""

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
        if self.help:
            lines.append(f"     = {_printable(self.help[:LONGEST])}")
        return "\n".join(lines)


class Problems:
    """The problems found so far in one graph, and the text that they point into."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.split("\n")
        self._found: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    @property
    def full(self) -> bool:
        """True once there is no use in looking for more."""
        return len(self._found) >= MOST

    def add(self, code: str, message: str, at: Position, help: str = "") -> None:
        """Note a problem at a place of the graph file or of a ``--set`` argument."""
        if at.argument:
            self._found.append(Problem(code, message, "--set", at, at.argument, help))
        elif not self.full:
            self._found.append(Problem(code, message, self.path, at, self.line(at.line), help))

    def extend(self, others: Problems) -> None:
        """Take over what another search found."""
        self._found += others._found

    def line(self, number: int) -> str:
        """The text of a line, counted from 1; empty beyond the end."""
        return self.lines[number - 1] if number <= len(self.lines) else ""

    def raise_if_any(self) -> None:
        """Raise `GraphError` with all that was found."""
        if self._found:
            raise GraphError(self.sorted())

    def sorted(self) -> list[Problem]:
        """All problems in the order of the file, those of the command line last."""
        return sorted(self._found, key=lambda p: (bool(p.position.argument), p.position.line, p.position.column))


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
