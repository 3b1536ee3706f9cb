"""``flowcore events``: list the events and drop reasons that the engine and all installed nodes declare."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

import typer

from flowcore.events import ENGINE_EVENTS, ENGINE_REASONS
from flowcore.node import Node
from flowcore.registry import available, load_all


@dataclass
class Row:
    """An event or a reason, and the nodes that declare it; none for those of the engine."""

    name: str
    meaning: str
    level: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)


def events(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object of events and reasons.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a page, like docs/events.md.")] = False,
) -> None:
    """List the events of a run, with their levels and fields, and the reasons to drop or fill in audio."""
    classes, _ = load_all(available())  # `flowcore nodes` names broken ones
    found, reasons = declared(classes)
    if as_json:
        typer.echo(json.dumps({"events": [vars(row) for row in found], "reasons": [vars(row) for row in reasons]}))
    elif markdown:
        typer.echo(page(found, reasons), nl=False)
    else:
        for row in (*found, *reasons):
            typer.echo(f"{row.name:<22} {row.level or 'reason':<8} {row.meaning.replace('``', '`')}")


def declared(classes: Iterable[type[Node]]) -> tuple[list[Row], list[Row]]:
    """The events and the reasons of the engine, then those of ``classes``, each once."""
    events = {id(event): Row(**vars(event)) for event in ENGINE_EVENTS}
    reasons = {id(reason): Row(**vars(reason)) for reason in ENGINE_REASONS}
    for cls in classes:
        for event in cls.events:
            events.setdefault(id(event), Row(**vars(event))).nodes.append(cls.name)
        for reason in cls.reasons:
            reasons.setdefault(id(reason), Row(**vars(reason))).nodes.append(cls.name)
    return list(events.values()), list(reasons.values())


def page(events: list[Row], reasons: list[Row]) -> str:
    """The tables in Markdown."""
    lines = [
        "# Events and drop reasons",
        "",
        "Made by `flowcore events --markdown` from the declarations in the code: change them there.",
        "",
        "An event is one line of the log of `flowcore run`. Its name and its fields are public. `--quiet` leaves out",
        "events of level info. A node of yours declares its own: see [node.md](node.md).",
        "",
        "## Events",
        "",
    ]
    of_nodes = [row for row in events if row.nodes]
    for title, rows in (("flowcore", [row for row in events if not row.nodes]), ("nodes", of_nodes)):
        lines += [f"### Events of {title}", "", "| event | level | meaning | fields | nodes |", "|---|---|---|---|---|"]
        lines += [_line(row, row.level, row.meaning, _fields(row), _nodes(row)) for row in rows]
        lines.append("")
    lines += [
        "## Reasons",
        "",
        "The counters of a node say how much audio was dropped, or filled in, and why. `bad_message:not_json` is the",
        "reason `bad_message` with a detail. Reasons without nodes are counted by the engine, at any node.",
        "",
        "| reason | meaning | nodes |",
        "|---|---|---|",
    ]
    lines += [_line(row, row.meaning, _nodes(row)) for row in reasons]
    return "\n".join(lines) + "\n"


def _line(row: Row, *cells: str) -> str:
    texts = (f"`{row.name}`", *(cell.replace("``", "`").replace("|", "\\|") for cell in cells))
    return f"| {' | '.join(texts)} |"


def _fields(row: Row) -> str:
    return "<br>".join(f"`{name}`: {meaning}" for name, meaning in row.fields.items())


def _nodes(row: Row) -> str:
    return ", ".join(f"`{name}`" for name in row.nodes)
