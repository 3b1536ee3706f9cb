"""``flowcore nodes``: print the reference of all installed nodes, read from their code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flowcore.cli.options import Imports
from flowcore.cli.show import show_result, whole_columns
from flowcore.diagnostics import did_you_mean
from flowcore.errors import UsageError
from flowcore.node import Node
from flowcore.reference import Reference, reference
from flowcore.registry import Entry, available, from_file, load_all

FAMILIES = ("sources", "transforms", "sinks")


def nodes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show the reference of this node.", show_default=False)
    ] = None,
    imports: Imports = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of all nodes, or one object.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the whole reference as a page, like docs/nodes.md.")
    ] = False,
) -> None:
    """List all nodes, or show one: its ports, formats and config."""
    entries = {**available(), **{entry.name: entry for file in imports or [] for entry in from_file(file.resolve())}}
    classes, broken = load_all(entries) if name is None else ([_named(name, entries)], {})
    references = [reference(cls) for cls in classes]
    if as_json:
        found = [asdict(one) for one in references]
        print(json.dumps(found if name is None else found[0], indent=2))  # noqa: T201  # the result
    elif markdown:
        print(page(references), end="")  # noqa: T201
    elif name is None:
        show_result(_list(references, broken))
    else:
        show_result(Group(*_reference(references[0])), piped_width=80)


def page(references: list[Reference]) -> str:
    """Return the reference in Markdown."""
    lines = ["# Nodes", "", "Made by `flowcore nodes --markdown` from the nodes' own code: change it there.", ""]
    for title in FAMILIES:
        members = [one for one in references if one.family == title]
        lines += [f"## {title.capitalize()}", "", "| | |", "|---|---|"]
        lines += [f"| [{one.name}](#{one.name}) | {one.purpose} |" for one in members]
        lines.append("")
        for one in members:
            lines += _section(one)
    return "\n".join(lines).rstrip() + "\n"


def _named(name: str, entries: Mapping[str, Entry]) -> type[Node]:
    entry = entries.get(name)
    if entry is None:
        help = did_you_mean(name, entries, "`flowcore nodes` lists all; --import FILE adds the nodes of a Python file")
        raise UsageError(f'there is no node "{name}": {help}')
    return entry.load()


def _list(references: list[Reference], broken: dict[str, str]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    rows = {title: [(one.name, one.purpose) for one in references if one.family == title] for title in FAMILIES}
    rows["cannot be loaded"] = list(broken.items())
    for title, lines in rows.items():
        if lines:
            table.add_row(Text(title, "bold"))
        for name, purpose in lines:
            table.add_row(Text(f"  {name}", "cyan"), Text(purpose))
    return whole_columns(table)


def _reference(one: Reference) -> Iterator[RenderableType]:
    yield Text.assemble((one.name, "bold cyan"), f"  ({one.family})\n")
    for line in one.text.split("\n"):
        # An example stays on its line, so that it can be copied.
        yield Text(line, overflow="ignore" if line.startswith(" ") else None)
    yield Text("\nports", "bold")
    for way, what in _ports(one):
        yield Text.assemble((f"  {way}", "cyan"), f"  {what}")
    if works := _works(one):
        yield Padding(Text(works), (0, 0, 0, 2))
    if one.attributes:
        yield Text("\nattributes, for paths such as {call_id}.wav", "bold")
        for name, meaning in one.attributes.items():
            yield Text.assemble((f"  {name}", "cyan"), f"  {meaning}")
    yield Text("\nconfig", "bold")
    if not one.fields:
        yield Text("  none")
    for field in one.fields:
        default = "required" if field.required else f"default {field.default}"
        yield Text.assemble("  ", (field.name, "cyan"), f"  {field.type}, {default}")
        if field.description:
            yield Padding(Text(field.description.replace("``", "`")), (0, 0, 0, 6))


def _ports(one: Reference) -> Iterator[tuple[str, str]]:
    if one.family != "sources":
        yield "in", " or ".join(one.caps) or "anything"
    for port, form in one.outputs.items():
        if port:
            yield f"out .{port}", f"write  from: NAME.{port}"
        else:
            yield "out", form or ("as its config says" if one.family == "sources" else "write  from: NAME")


def _works(one: Reference) -> str:
    if one.family != "sinks" and one.runs != "thread":
        return ""
    loss = "may be dropped when it is too slow" if one.loss == "allowed" else "must not be lost"
    where = "in a thread, behind a queue" if one.runs == "thread" else "in line"
    return f"works {where}; what comes in {loss}"


def _section(one: Reference) -> list[str]:
    body = one.text.partition("Example:")[0].rstrip()
    lines = [f"### {one.name}", "", body, ""]
    if one.example:
        lines += ["```yaml", one.example, "```", ""]
    lines += [f"- **{way}**: {what}" for way, what in _ports(one)]
    lines += [f"- {works}" for works in [_works(one)] if works]
    lines.append("")
    if one.attributes:
        lines += ["| attribute | |", "|---|---|"]
        lines += [f"| `{name}` | {meaning} |" for name, meaning in one.attributes.items()]
        lines.append("")
    if one.fields:
        lines += ["| field | type | default | |", "|---|---|---|---|"]
        for field in one.fields:
            default = "*required*" if field.required else f"`{field.default}`"
            cells = (f"`{field.name}`", field.type, default, field.description.replace("``", "`"))
            lines.append("| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |")
        lines.append("")
    return lines
