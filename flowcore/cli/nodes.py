"""``flowcore nodes``: the reference of all installed nodes, read from their code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flowcore.errors import FlowcoreError, UsageError
from flowcore.graph.problems import did_you_mean
from flowcore.node import Demux, Listener, Node, Sink
from flowcore.registry import available
from flowcore.units import Quantity

FAMILIES = ("sources", "transforms", "sinks")


def nodes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A node, to read all about it.", show_default=False)
    ] = None,
) -> None:
    """List the nodes that a graph can use, or explain one: ports, formats, config."""
    console = Console(highlight=False)
    if name is None:
        console.print(_list())
        return
    entry = available().get(name)
    if entry is None:
        help = did_you_mean(name, available(), "`flowcore nodes` lists them all")
        raise UsageError(f'there is no node "{name}": {help}')
    console.print(Group(*_reference(entry.load())), crop=False)


def family(cls: type[Node]) -> str:
    """Where a node belongs: it gives, it works, or it takes."""
    return "sources" if issubclass(cls, Listener) else "sinks" if issubclass(cls, Sink) else "transforms"


def _list() -> RenderableType:
    table = Table.grid(padding=(0, 2))
    rows: dict[str, list[tuple[str, str]]] = {name: [] for name in FAMILIES}
    for name, entry in sorted(available().items()):
        try:
            cls = entry.load()
        except (ImportError, FlowcoreError) as error:  # one broken package must not hide the others
            rows.setdefault("cannot be loaded", []).append((name, str(error)))
        else:
            rows[family(cls)].append((name, _text(cls).partition("\n")[0]))
    for title, lines in rows.items():
        if lines:
            table.add_row(Text(title, "bold"))
        for name, purpose in lines:
            table.add_row(Text(f"  {name}", "cyan"), Text(purpose))
    return table


def _reference(cls: type[Node]) -> Iterator[RenderableType]:
    yield Text.assemble((cls.name, "bold cyan"), f"  ({family(cls)})\n")
    for line in _text(cls).split("\n"):
        # An example stays on its line, so that it can be copied.
        yield Text(line, no_wrap=line.startswith(" "), overflow="ignore")
    yield Text("\nports", "bold")
    for way, what in _ports(cls):
        yield Text.assemble((f"  {way}", "cyan"), f"  {what}")
    if issubclass(cls, Sink) or cls.runs == "thread":
        loss = "may be dropped when it is too slow" if cls.loss == "allowed" else "must not be lost"
        where = "in a thread, behind a queue" if cls.runs == "thread" else "in line"
        yield Text(f"  works {where}; what comes in {loss}")
    yield Text("\nconfig", "bold")
    if not cls.Config.model_fields:
        yield Text("  none")
    yield from _fields(cls.Config, "")


def _ports(cls: type[Node]) -> Iterator[tuple[str, str]]:
    if not issubclass(cls, Listener):
        yield "in", " or ".join(str(takes) for takes in cls.takes) or "anything"
    if issubclass(cls, Demux):
        yield from ((f"out .{port}", f"write  from: NAME.{port}") for port in cls.outputs)
    elif issubclass(cls, Listener):
        try:
            yield "out", str(cls.gives(cls.Config()))
        except ValidationError:  # it cannot do without config, which then tells the format
            yield "out", "as its config says"
    elif not issubclass(cls, Sink):
        yield "out", "one"


def _fields(model: type[BaseModel], prefix: str) -> Iterator[RenderableType]:
    for name, info in model.model_fields.items():
        default = "required" if info.is_required() else f"default {_plain(_default(info))}"
        yield Text.assemble("  ", (f"{prefix}{name}", "cyan"), f"  {described(info)}, {default}")
        if info.description:
            yield Padding(Text(info.description), (0, 0, 0, 6))
        for inner in (info.annotation, *get_args(info.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _fields(inner, f"{prefix}{name}.")


def described(info: FieldInfo) -> str:
    """A field's type as a graph's author needs it: ``duration (us, ms, s, min, h)``, ``one of wait, skip_late``."""
    bounds = [text for limit in info.metadata for text in _bounds(limit)]
    return " ".join([_type(info.annotation), *bounds])


def _bounds(limit: Any) -> Iterator[str]:
    for attribute, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        if getattr(limit, attribute, None) is not None:
            yield f"{sign} {getattr(limit, attribute)}"


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Quantity):
        units = ", ".join(unit for unit in annotation.UNITS if unit)
        return f"{annotation.__name__.lower()} ({units})"
    if get_origin(annotation) in (list, tuple, dict, set, frozenset):
        return f"{get_origin(annotation).__name__} of {' and '.join(_type(arg) for arg in get_args(annotation))}"
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if arguments:
        return " or ".join(_type(argument) for argument in arguments)
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Path": "path"}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()  # PathTemplate: path template


def _default(info: FieldInfo) -> Any:
    value = info.get_default(call_default_factory=True, validated_data={})
    return None if value is PydanticUndefined else value


def _plain(value: Any) -> str:
    """A value as a graph would write it."""
    if isinstance(value, BaseModel):
        return "as below"
    words = {None: "none", True: "true", False: "false", "": '""'}
    simple = value is None or isinstance(value, bool | str)
    return words.get(value, str(value)) if simple else str(value)


def _text(cls: type[Node]) -> str:
    """The class's docstring, its paragraphs in one line each: the terminal breaks them where it ends."""
    text = re.sub(r"(?<=\S)\n(?=\S)", " ", inspect.getdoc(cls) or "")
    return text.replace("``", "`").replace("Example::", "Example:")
