"""``flowcore graph``: a picture of what a graph becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from flowcore.graph.explain import explain
from flowcore.graph.load import load
from flowcore.graph.negotiate import compile as compile_graph
from flowcore.graph.picture import dot, mermaid
from flowcore.graph.svg import svg

DRAW = {"svg": svg, "mermaid": mermaid, "dot": dot}


def graph(
    graph: Annotated[Path, typer.Argument(metavar="GRAPH", help="The graph file.", show_default=False)],
    form: Annotated[Literal["svg", "mermaid", "dot"], typer.Option("--format", help="The language of it.")] = "svg",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it there.", show_default="standard output")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NODE.KEY=VALUE", help="Set a value of the graph; repeatable.")
    ] = None,
) -> None:
    """Draw a graph: its chains, its queues, the formats on its wires.

    Opens no other file, no network, no device and no model.

    Exit code: 0 done, 2 there are problems.
    """
    text = DRAW[form](explain(compile_graph(load(graph, settings or []))))
    if output is None:
        print(text, end="")  # noqa: T201  # the result
    else:
        output.write_text(text)
