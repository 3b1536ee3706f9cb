"""Rows of nodes that turn one format into another: what negotiation puts in, and what advice offers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from pydantic import ValidationError

from flowcore.errors import FlowcoreError
from flowcore.formats import Caps, Format
from flowcore.node import Config, Demux, Node, Transform

LONGEST = 3
"""Converters between two nodes at most: decode, resample, interleave."""

Converter = type[Transform]  # type: ignore[type-arg]  # of any chunks


@dataclass(frozen=True)
class Step:
    """A node in such a row; ``output`` is the one of its outputs that the row goes on from."""

    cls: type[Node]
    config: Config
    output: int = 0

    def after(self, form: Format) -> Format | None:
        """What it gives for ``form``; None when it does not take that."""
        taken = self.cls.accepts(self.config)
        if taken and not any(takes.matches(form) for takes in taken):
            return None
        return gives(self.cls, self.config, form)[self.output]


@dataclass(frozen=True)
class Row:
    """Steps, and the format at their end."""

    steps: tuple[Step, ...]
    gives: Format

    @property
    def meaning(self) -> tuple[frozenset[Step], Format]:
        """Equal for rows that do the same in another order: converters change no more than they must."""
        return frozenset(self.steps), self.gives


def gives(cls: type[Node], config: Config, given: Format) -> tuple[Format, ...]:
    """The formats of a node's outputs; none for a sink."""
    if issubclass(cls, Demux):
        return cls.gives(config, given)
    if issubclass(cls, Transform):
        return (cls.gives(config, given),)
    return ()


def shortest(given: Format, wanted: Caps, steps: Sequence[Step], longest: int = LONGEST) -> list[Row]:
    """All rows of ``steps`` from ``given`` to what ``wanted`` matches than which none is shorter."""
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
    """The converters that say that they help to reach ``wanted``."""
    return [Step(cls, config) for cls in converters if (config := cls.converts(wanted)) is not None]


def narrowed(wanted: Caps) -> Iterator[Caps]:
    """Every way to decide what ``wanted`` leaves open among named values."""
    for encoding, rate, layout in product(wanted.encodings or [""], wanted.rates or [0], wanted.layouts or [""]):
        yield Caps(wanted.kind, (encoding,) * bool(encoding), (rate,) * bool(rate), (layout,) * bool(layout))


def installed() -> Iterator[type[Node]]:
    """The transforms and demuxers that a graph can use."""
    from flowcore.registry import available

    for name in sorted(available()):
        entry = available()[name]
        if entry.attribute or ".transforms." in entry.module:
            try:
                cls = entry.load()
            except (ImportError, FlowcoreError):  # a broken package is reported where a graph names its nodes
                continue
            if issubclass(cls, Transform | Demux):
                yield cls


def is_converter(cls: type[Node]) -> bool:
    """Whether negotiation may put it in."""
    return issubclass(cls, Transform) and cls.converts.__func__ is not Transform.converts.__func__  # type: ignore[attr-defined]


def as_written(nodes: Iterable[type[Node]]) -> Iterator[Step]:
    """The steps that an author could write with no more config than none at all."""
    for cls in nodes:
        try:
            config = cls.Config()
        except ValidationError:  # it needs to be told something: not for us to make up
            continue
        yield from (Step(cls, config, output) for output in range(len(cls.outputs) or 1))
