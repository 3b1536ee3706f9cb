"""``flowcore check``: report all problems of graphs without running them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flowcore.cli.show import show_problems
from flowcore.diagnostics import counted
from flowcore.errors import GraphError
from flowcore.graph import compile_graph, load_graph


def check(
    graphs: Annotated[list[Path], typer.Argument(metavar="GRAPH...", help="Graph files.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NODE.KEY=VALUE", help="Set a value of every graph; repeatable."),
    ] = None,
) -> None:
    """Report all problems of graphs, each with its place and a fix.

    Opens no other file, no network connection, no device and no model.

    Exit code: 0 no problems, 2 there are problems.
    """
    wrong = False
    for path in graphs:
        try:
            graph = load_graph(path, settings or [])
            compile_graph(graph)
        except GraphError as error:
            wrong = True
            show_problems(error.problems)
            closing, style, stderr = f"{path}: {counted(len(error.problems), 'problem')}", "bold red", True
        else:
            closing, style, stderr = f"{path}: ok, {len(graph.nodes)} nodes", "green", False
        Console(stderr=stderr, highlight=False).print(closing, style=style, soft_wrap=True, markup=False)
    raise typer.Exit(2 if wrong else 0)
