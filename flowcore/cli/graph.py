"""``flowcore graph``: draw the plan of a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from flowcore.cli.options import GraphFile, Output, Settings, plan_of, write_result
from flowcore.graph.explain import explain
from flowcore.graph.picture import dot, mermaid
from flowcore.graph.svg import svg

DRAW = {"svg": svg, "mermaid": mermaid, "dot": dot}
ENDINGS = {"": "svg", ".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot"}


def graph(
    graph: GraphFile,
    form: Annotated[
        Literal["svg", "mermaid", "dot"] | None,
        typer.Option("--format", help="Format of the picture.", show_default="by the suffix of FILE, else svg"),
    ] = None,
    output: Output = None,
    settings: Settings = None,
) -> None:
    """Draw how a graph will run.

    The picture shows its chains and queues, and the formats on its wires. Opens no other file, no network connection,
    no device and no model.

    Exit code: 0 done, 2 there are problems.
    """
    draw = DRAW[form or _by_ending(output)]
    write_result(draw(explain(plan_of(graph, settings))), output)


def _by_ending(output: Path | None) -> str:
    ending = output.suffix.lower() if output else ""
    if ending not in ENDINGS:
        raise typer.BadParameter(f"no picture is called {ending}: .svg, .mmd and .dot are", param_hint="--output")
    return ENDINGS[ending]
