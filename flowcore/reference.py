"""The reference of a node, read from its code: what `flowcore nodes` prints, and docs/nodes.md and editors show."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from flowcore.listener import Listener
from flowcore.live import LIVE
from flowcore.node import Demux, Node, Sink
from flowcore.units import Quantity


@dataclass(frozen=True)
class Field:
    """One value of a config; ``name`` has dots where it lies within another, ``default`` is written as in a graph."""

    name: str
    type: str
    required: bool
    default: str
    description: str
    live: bool = False
    """Whether ``flowcore set`` changes it in running calls."""


@dataclass(frozen=True)
class Reference:
    """The reference of one node, for authors of graphs.

    ``text`` is the docstring, a paragraph a line; ``purpose`` is its first line and ``example`` a line of a graph.
    ``outputs`` maps names (empty for the only one) to what comes out, as far as that is known without a graph.
    ``attributes`` are those that a listener's sessions may have, with what they mean.
    """

    name: str
    family: str
    purpose: str
    text: str
    example: str
    caps: tuple[str, ...]
    outputs: dict[str, str]
    runs: str
    loss: str
    fields: tuple[Field, ...]
    attributes: dict[str, str]


def reference(cls: type[Node]) -> Reference:
    """Make the reference of a node from its class."""
    text = _text(cls)
    purpose, caps = text.partition("\n")[0], tuple(map(str, cls.caps))
    attributes = dict(cls.attributes) if issubclass(cls, Listener) else {}
    ports, fields = dict(_outputs(cls)), tuple(_fields(cls.Config, ""))
    return Reference(
        cls.name, family(cls), purpose, text, _example(cls), caps, ports, cls.runs, cls.loss, fields, attributes
    )


def family(cls: type[Node]) -> str:
    """The family of a node: sources, transforms or sinks."""
    return "sources" if issubclass(cls, Listener) else "sinks" if issubclass(cls, Sink) else "transforms"


def _text(cls: type[Node]) -> str:
    """The class's docstring with each paragraph on one line, for a reader to break."""
    text = re.sub(r"(?<=\S)\n(?=\S)", " ", inspect.getdoc(cls) or "")
    return text.replace("``", "`").replace("Example::", "Example:")


def _example(cls: type[Node]) -> str:
    found = re.search(r"Example::\n\n((?: +.+\n?)+)", inspect.getdoc(cls) or "")
    return inspect.cleandoc(found[1]) if found else ""


def _outputs(cls: type[Node]) -> Iterator[tuple[str, str]]:
    if issubclass(cls, Demux):
        yield from ((port, "") for port in cls.outputs)
    elif issubclass(cls, Listener):
        try:
            yield "", str(cls.gives(cls.Config()))
        except ValidationError:  # its config has required fields, which decide the format
            yield "", ""
    elif not issubclass(cls, Sink):
        yield "", ""


def _fields(model: type[BaseModel], prefix: str) -> Iterator[Field]:
    for name, info in model.model_fields.items():
        default = "" if info.is_required() else _plain(info.get_default(call_default_factory=True, validated_data={}))
        yield Field(
            f"{prefix}{name}",
            described(info),
            info.is_required(),
            default,
            info.description or "",
            LIVE in info.metadata,
        )
        for inner in (info.annotation, *get_args(info.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _fields(inner, f"{prefix}{name}.")


def described(info: FieldInfo) -> str:
    """A field's type for authors of graphs: ``duration (us, ms, s, min, h)``, ``one of wait, skip_late``."""
    quantity = quantity_of(info)
    bounds = [text for limit in info.metadata for text in _bounds(limit, quantity or str)]
    return " ".join(filter(None, [_type(info.annotation), " and ".join(bounds)]))


def quantity_of(info: FieldInfo) -> Callable[[Any], Quantity] | None:
    """The field's quantity type; None when the field holds something else."""
    return next((of for of in (info.annotation, *get_args(info.annotation)) if _is_quantity(of)), None)


def _is_quantity(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Quantity)


def _bounds(limit: Any, kind: Callable[[Any], object]) -> Iterator[str]:
    for attribute, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        if getattr(limit, attribute, None) is not None:
            yield f"{sign} {kind(getattr(limit, attribute))}"


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(annotation))
    if _is_quantity(annotation):
        units = ", ".join(unit for unit in annotation.UNITS if unit and unit.isascii())
        return f"{annotation.__name__.lower()} ({units})"
    if get_origin(annotation) is tuple and get_args(annotation)[1:] == (...,):
        return f"list of {_type(get_args(annotation)[0])}"
    if get_origin(annotation) in (list, tuple, dict, set, frozenset):
        return f"{get_origin(annotation).__name__} of {' and '.join(_type(arg) for arg in get_args(annotation))}"
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if arguments:
        return " or ".join(_type(argument) for argument in arguments)
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Path": "path"}
    names |= {"LocalPath": "path", "SecretStr": "secret", "IPvAnyNetwork": "network (10.0.0.0/8)"}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()  # PathTemplate: path template


def _plain(value: Any) -> str:
    """A value, written as in a graph."""
    if isinstance(value, BaseModel):
        return "as below"
    if isinstance(value, tuple):
        return f"[{', '.join(_plain(item) for item in value)}]"
    words = {None: "none", True: "true", False: "false", "": '""'}
    simple = value is None or isinstance(value, bool | str)
    return words.get(value, str(value)) if simple else str(value) or words[""]
