"""Problems and errors on a terminal, in colour where there is one; standard error, so that results can be piped."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from flowcore.diagnostics import Problem


def show_problems(problems: Iterable[Problem]) -> None:
    """Print each problem as its text says it, with an empty line between two of them."""
    console = Console(stderr=True, highlight=False)
    for number, problem in enumerate(problems):
        if number:
            console.print()
        console.print(coloured(problem), soft_wrap=True)


def show_error(message: str) -> None:
    """Print what went wrong outside a graph; its first line says what to do."""
    Console(stderr=True, highlight=False).print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)


def plainly(error: OSError) -> str:
    """What the system says, without its number: ``No space left on device: /data/a.wav``."""
    if not error.strerror:
        return str(error)
    return f"{error.strerror}: {error.filename}" if error.filename else error.strerror


def coloured(problem: Problem) -> Text:
    """The text of a problem with its parts in colour."""
    text = Text(str(problem))
    text.highlight_regex(r"\A.*?(?=: error\[)", "bold")
    text.highlight_regex(r"(?<=: )error\[[a-z0-9-]+\]", "bold red")
    text.highlight_regex(r"(?m)^ +\| +\^+$", "red")
    text.highlight_regex(r"(?m)^ {5}= .*", "cyan")
    return text
