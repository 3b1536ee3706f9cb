"""Live fields of a config: those that `flowcore set` changes while a call runs."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple, TypeVar

from pydantic import BaseModel


class LiveField:
    """Marks a field in its annotation; see `Live`."""


class LiveChange(NamedTuple):
    """A change of live fields, ``node.field``, in second ``at`` of the call. Their values may be private."""

    at: float
    fields: tuple[str, ...]


LIVE: Final = LiveField()
T = TypeVar("T")

Live = Annotated[T, LIVE]
"""A field that may change while a call runs: ``level: Live[Decibels] = Decibels(0)``.

`flowcore.node.Node.on_config` gets each change. Neither the node's formats nor its resource may depend on the field.
"""


def changed_fields(before: BaseModel, after: BaseModel) -> list[str]:
    """Return the names of the fields in which two configs of one class differ."""
    return [name for name, value in after if value != getattr(before, name)]


def live_fields(model: type[BaseModel]) -> list[str]:
    """Return the names of the live fields of a config."""
    return [name for name, field in model.model_fields.items() if LIVE in field.metadata]
