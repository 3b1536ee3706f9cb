"""Rows of nodes that convert one format to another, for negotiation to insert and for advice to offer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from pydantic import ValidationError

from flowcore.formats import Caps, Format
from flowcore.node import Config, Demux, Node, Transform
from flowcore.registry import available, load_all

MAX_CONVERTERS = 3
"""Converters between two nodes at most: decode, resample, interleave."""

Converter = type[Transform]  # type: ignore[type-arg]  # of any chunks


@dataclass(frozen=True)
class Step:
    """A node in a row; ``output`` is the index of the output from which the row goes on."""

    cls: type[Node]
    config: Config
    output: int = 0

    def after(self, form: Format) -> Format | None:
        """The format that the node gives for ``form``; None when it does not accept that."""
        return gives(self.cls, self.config, form)[self.output] if accepts(self.cls, self.config, form) else None


@dataclass(frozen=True)
class Row:
    """Steps, and the format at their end."""

    steps: tuple[Step, ...]
    gives: Format

    @property
    def meaning(self) -> tuple[frozenset[Step], Format]:
        """A key that is equal for rows with the same steps in another order."""
        return frozenset(self.steps), self.gives


def accepts(cls: type[Node], config: Config, form: Format) -> bool:
    """Whether a node takes ``form``; one that declares no caps takes everything."""
    taken = cls.accepts(config)
    return not taken or any(takes.matches(form) for takes in taken)


def gives(cls: type[Node], config: Config, given: Format) -> tuple[Format, ...]:
    """The formats of a node's outputs; none for a sink."""
    if issubclass(cls, Demux):
        return cls.gives(config, given)
    if issubclass(cls, Transform):
        return (cls.gives(config, given),)
    return ()


def shortest(given: Format, wanted: Caps, steps: Sequence[Step], longest: int = MAX_CONVERTERS) -> list[Row]:
    """Return the shortest rows of ``steps`` from the format ``given`` to one that ``wanted`` matches."""
    seen = {given}
    ends = [Row((), given)]
    for _ in range(longest):
        ends = [
            Row((*row.steps, step), form)
            for row in ends
            for step in steps
            if (form := step.after(row.gives)) is not None and form not in seen
        ]
        if found := [row for row in ends if wanted.matches(row.gives)]:
            return found
        seen.update(row.gives for row in ends)
    return []


def offers(converters: Iterable[Converter], wanted: Caps) -> list[Step]:
    """The converters that declare a config for ``wanted``."""
    return [Step(cls, config) for cls in converters if (config := cls.converts(wanted)) is not None]


def narrowed(wanted: Caps) -> Iterator[Caps]:
    """``wanted`` with one value for each property, for every combination of its values."""
    for encoding, rate, layout in product(wanted.encodings or [""], wanted.rates or [0], wanted.layouts or [""]):
        yield Caps(wanted.kind, (encoding,) * bool(encoding), (rate,) * bool(rate), (layout,) * bool(layout))


def installed() -> list[type[Node]]:
    """The installed transforms and demuxers."""
    entries = {name: entry for name, entry in available().items() if entry.attribute or ".transforms." in entry.module}
    return [cls for cls in load_all(entries)[0] if issubclass(cls, Transform | Demux)]


def is_converter(cls: type[Node]) -> bool:
    """Whether negotiation may insert nodes of this class: it declares which formats it converts."""
    return issubclass(cls, Transform) and cls.converts.__func__ is not Transform.converts.__func__  # type: ignore[attr-defined]


def as_written(nodes: Iterable[type[Node]]) -> Iterator[Step]:
    """The steps of ``nodes`` that need no config."""
    for cls in nodes:
        try:
            config = cls.Config()
        except ValidationError:  # it has a field without a default
            continue
        yield from (Step(cls, config, output) for output in range(len(cls.outputs) or 1))
