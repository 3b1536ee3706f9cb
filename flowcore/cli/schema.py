"""``flowcore schema``: write the JSON Schema with which editors complete and check graphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flowcore.errors import FlowcoreError
from flowcore.graph.schema import schema as schema_of
from flowcore.node import Node
from flowcore.registry import available, from_file


def schema(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the schema to FILE.", show_default="standard output"
        ),
    ] = None,
    imports: Annotated[
        list[Path] | None, typer.Option("--import", metavar="FILE", help="A Python file with nodes; repeatable.")
    ] = None,
) -> None:
    """Write the JSON Schema of graph files, with all installed nodes.

    An editor with a YAML language server uses the schema in graphs with this line:

    # yaml-language-server: $schema=FILE
    """
    text = json.dumps(schema_of(_nodes(imports or [])), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        print(text, end="")  # noqa: T201  # the result
    else:
        output.write_text(text)


def _nodes(imports: list[Path]) -> list[type[Node]]:
    found = [entry.load() for path in imports for entry in from_file(path.resolve())]
    for entry in available().values():
        try:
            found.append(entry.load())
        except (ImportError, FlowcoreError):  # `flowcore nodes` says why; the others need no less of a schema
            continue
    return found
