"""Arguments and options that several commands have, and checks of option values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowcore.graph import compile_graph, load_graph
from flowcore.graph.plan import Plan
from flowcore.units import Duration

GraphFile = Annotated[Path, typer.Argument(metavar="GRAPH", help="The graph file.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NODE.KEY=VALUE", help="Set a value of the graph; repeatable.")
]
Imports = Annotated[
    list[Path] | None, typer.Option("--import", metavar="FILE", help="A Python file with nodes; repeatable.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to FILE.", show_default="standard output")
]
Control = Annotated[
    Path | None, typer.Option(help="Control socket of the process, as in its log.", show_default="of the only process")
]
LogJson = Annotated[bool, typer.Option("--log-json", help="Log as JSON lines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors only.")]


def plan_of(graph: Path, settings: list[str] | None) -> Plan:
    """Compile a graph file. Raises `GraphError`."""
    return compile_graph(load_graph(graph, settings or []))


def write_result(text: str, output: Path | None) -> None:
    """Write the result of a command to ``output``, or to standard output."""
    if output is None:
        print(text, end="")  # noqa: T201  # the result
    else:
        output.write_text(text)


def try_to_write(path: Path, option: str) -> None:
    """Fail now, and not after hours of work. Raises `typer.BadParameter`."""
    try:
        path.touch()
    except OSError as error:
        raise typer.BadParameter(f"cannot write {path}: {error.strerror}", param_hint=option) from None


def parse_seconds(text: str, option: str) -> float:
    """Return the duration of an option in seconds. Raises `typer.BadParameter`."""
    try:
        return float(Duration(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
