"""Prints results on standard output, and problems and errors on standard error, in colour on a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from flowcore.diagnostics import Problem

UNLIMITED: Final = 10_000
"""Columns of a result in a pipe or a file: rows of a table stay whole, for `grep`."""


def show_result(result: RenderableType, piped_width: int = UNLIMITED) -> None:
    """Print a result as wide as the terminal or ``COLUMNS``, else ``piped_width`` columns.

    No word is cut: where the longest words need more room, the result is wider, and the terminal wraps its lines.
    """
    console = Console(highlight=False)
    width = console.width if console.is_terminal or "COLUMNS" in os.environ else piped_width
    console.width = UNLIMITED
    console.width = max(width, Measurement.get(console, console.options, result).minimum)
    with console.capture() as captured:
        console.print(result, crop=False)
    for line in captured.get().removesuffix("\n").split("\n"):
        console.file.write(line.rstrip() + "\n")
    console.file.flush()


def whole_columns(table: Table) -> Table:
    """Return ``table``, whose columns that do not wrap are never narrower than their longest cell."""
    for column in table.columns:
        if column.no_wrap:
            cells = (column.header, *column.cells)
            column.min_width = max(column.min_width or 0, *(cell_len(str(cell)) for cell in cells))
    return table


def markdown_table(header: str, rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of a table in Markdown and an empty line after it; nothing when there are no rows."""
    cells = ([" ".join(cell.replace("``", "`").replace("|", "\\|").split()) for cell in row] for row in rows)
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return [header, "|" + "---|" * (header.count("|") - 1), *lines, ""] if lines else []


def show_problems(problems: Iterable[Problem | str]) -> None:
    """Print problems on standard error, with an empty line between two of them."""
    console = Console(stderr=True, highlight=False)
    for number, problem in enumerate(problems):
        if number:
            console.print()
        console.print(coloured(str(problem)), soft_wrap=True)


def show_error(message: str) -> None:
    """Print an error on standard error; its first line says what to do."""
    Console(stderr=True, highlight=False).print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)


def coloured(problem: str) -> Text:
    """Return the text of a problem with its parts in colour."""
    text = Text(problem)
    text.highlight_regex(r"\A.*?(?=: error\[)", "bold")
    text.highlight_regex(r"(?<=: )error\[[a-z0-9-]+\]", "bold red")
    text.highlight_regex(r"(?m)^ +\| +\^+$", "red")
    text.highlight_regex(r"(?m)^ {5}= .*", "cyan")
    return text
