"""Problems of graph files and their positions, printed as compilers print them; and suggestions for misspelt names.

A problem has a position, a code, an excerpt with a caret, and a text that says what would fix it. This module imports
nothing of flowcore, so every other module may import it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

MAX_EXCERPT = 120
"""Characters of a source line that an excerpt shows at most."""
MAX_MESSAGE = 300
"""Characters of a message at most; a message may quote any name of the file."""
MAX_COMPARED_CHARACTERS = 64
MAX_COMPARED_NAMES = 300
"""Limits of a search for a similar name: its cost is the product of the lengths, and a hostile file has long words."""


@dataclass(frozen=True)
class Position:
    """A place in a graph file; ``line`` and ``column`` count from 1, ``length`` is in characters.

    ``argument`` is empty, or the command line's ``--set node.key=value`` in which the place lies, on line 1.
    ``path`` is empty, or the file of the sub-graph (``use: ./voice.yaml``) in which the place lies.
    """

    line: int
    column: int
    length: int = 1
    argument: str = ""
    path: str = ""


@dataclass(frozen=True)
class Problem:
    """One mistake. ``code`` is short and stable, for people to search and for tests to compare.

    ``path`` is the file, or ``--set`` for a mistake on the command line. ``line`` is the text of the source line at
    ``position``, empty when there is none to show. ``help`` says what would fix the mistake, or is empty. ``trace``
    holds the steps through a node author's code that led to it, ``notes`` further lines before ``help``.
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
        lines = [f"{place}: error[{self.code}]: {printable(self.message[:MAX_MESSAGE])}"]
        if self.line:
            first = max(0, min(at.column - 1 - MAX_EXCERPT // 3, len(self.line) - MAX_EXCERPT))
            excerpt = self.line[first : first + MAX_EXCERPT]
            before = at.column - 1 - first
            caret = " " * before + "^" * max(1, min(at.length, len(excerpt) - before))
            number = "" if at.argument else at.line
            lines += [f"{number:>4} | {printable(excerpt)}", f"     | {caret}"]
        lines += [f"     | {printable(line[:MAX_MESSAGE])}" for line in self.trace]
        for line in (*self.notes, self.help):
            if line:
                lines.append(f"     = {printable(line[:MAX_MESSAGE])}")
        return "\n".join(lines)


def closest(word: str, names: Iterable[str]) -> str | None:
    """The name most similar to ``word``, if one is similar enough."""
    near = get_close_matches(word[:MAX_COMPARED_CHARACTERS], list(names)[:MAX_COMPARED_NAMES], n=1)
    return near[0] if near else None


def did_you_mean(word: str, names: Iterable[str], otherwise: str = "") -> str:
    """The help text for an unknown name: the most similar one of ``names``, or ``otherwise``."""
    near = closest(word, names)
    return f'did you mean "{near}"?' if near else otherwise


def listed(names: Iterable[str], last: str = "and") -> str:
    """``a, b and c``, for messages."""
    *head, tail = list(names) or ["nothing"]
    return f"{', '.join(head)} {last} {tail}" if head else tail


def counted(number: int, noun: str) -> str:
    """``1 call`` or ``2 calls``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def printable(text: str) -> str:
    """Return ``text`` with a dot for each character that moves the cursor or hides text; white space is a space."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "·" for c in text)
