"""Checks that templates of paths and texts use only attributes that the graph's listener declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from flowcore.diagnostics import did_you_mean, listed
from flowcore.graph.node_parser import ParsedNode
from flowcore.graph.values import Values
from flowcore.listener import Listener
from flowcore.paths import BUILT_IN, PathTemplate
from flowcore.session_text import SessionText


def check(nodes: Mapping[str, ParsedNode], values: Values) -> None:
    """Add a problem for each attribute in a config's template that the listener does not declare."""
    listeners = [(node.name, node.cls) for node in nodes.values() if node.cls and issubclass(node.cls, Listener)]
    if len(listeners) != 1:
        return  # which is a problem of its own
    [(name, listener)] = listeners
    for node in nodes.values():
        for field, template in _templates(node.config, ""):
            for attribute in template.attributes:
                if attribute not in listener.attributes:
                    known = [*(BUILT_IN if isinstance(template, PathTemplate) else ()), *listener.attributes]
                    _add(node, field, attribute, f"{name} ({listener.name})", known, values)


def _add(node: ParsedNode, field: str, attribute: str, listener: str, known: list[str], values: Values) -> None:
    outer = field
    while f"with.{outer}" not in node.places and "." in outer:
        outer = outer.rpartition(".")[0]
    at = node.places.get(f"with.{outer}", node.at)
    written = f"{{{attribute}}}"
    if any(written in secret for secret in values.secrets.get(at, {}).values()):
        written = "an attribute"  # a message shows nothing that came from the environment
    message = f"{node.name}: {field} uses {written}, which {listener} does not give"
    help = did_you_mean(attribute, known, f"it gives {listed(known)}")
    values.problems.add("unknown-attribute", message, values.inside(at, f"{{{attribute}"), help)


def _templates(value: Any, name: str) -> Iterator[tuple[str, PathTemplate | SessionText]]:
    """The templates in a config, each with the name of its field."""
    if isinstance(value, PathTemplate | SessionText):
        yield name, value
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _templates(getattr(value, field), f"{name}.{field}" if name else field)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _templates(item, name)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _templates(item, f"{name}.{key}")
