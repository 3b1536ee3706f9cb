"""Advice for a wire whose ends do not match: lines to paste into the graph."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from flowcore.formats import Caps, Format
from flowcore.graph.conversions import Converter, Row, Step, as_written, is_converter, narrowed, offers, shortest
from flowcore.node import Node

MAX_NODES = 4
"""Nodes between two others at most: from packets to words, reorder, decode_mulaw, resample, transcribe."""
MAX_WAYS = 3
"""Ways that are shown at most."""


def rows(given: Format, wanted: Iterable[Caps], nodes: Sequence[type[Node]]) -> list[Row]:
    """The ways from ``given`` to ``wanted`` with the fewest nodes for an author to write, and the shortest of them."""
    converters: list[Converter] = [cls for cls in nodes if is_converter(cls)]  # type: ignore[misc]  # transforms all
    written = list(as_written(cls for cls in nodes if not is_converter(cls)))
    # Negotiation inserts converters before the nodes on the way, too.
    midway = [step for own in written for takes in own.cls.accepts(own.config) for step in offers(converters, takes)]
    found: dict[object, Row] = {}
    for takes in wanted:
        for exact in narrowed(takes):
            steps = list(dict.fromkeys([*offers(converters, exact), *midway, *written]))
            for row in shortest(given, exact, steps, MAX_NODES):
                found.setdefault(row.meaning, row)
    if not found:
        return []
    least = min((_own(row), len(row.steps)) for row in found.values())
    return [row for row in found.values() if (_own(row), len(row.steps)) == least]


def lines(upstream: str, given: Format, node: str, ways: Sequence[Row], taken: Collection[str]) -> list[str]:
    """The text for each way: nodes to paste behind ``upstream``, and the new ``from`` of ``node``."""
    texts: list[str] = []
    for row in ways[:MAX_WAYS]:
        pasted, end = _pasted(upstream, _to_write(given, row), taken)
        start = "add" if len(ways) == 1 else "either add" if not texts else "or add"
        texts.append(f'{start}  {"; ".join(pasted)}  and write  from: {end}  in "{node}"')
    return texts


def _own(row: Row) -> int:
    return sum(not is_converter(step.cls) for step in row.steps)


def _to_write(given: Format, row: Row) -> list[Step]:
    """The steps without those converters that negotiation inserts by itself before a node that needs them."""
    written: list[Step] = []
    pending: list[Step] = []
    before = after = given
    for step in row.steps:
        if is_converter(step.cls):
            pending.append(step)
        else:
            written += [*pending, step] if step.after(before) is not None else [step]
            pending = []
        after = step.after(after) or after
        before = after if not pending else before
    return written or pending


def _pasted(upstream: str, steps: Sequence[Step], taken: Collection[str]) -> tuple[list[str], str]:
    """A line for each step, and the name of the last one's output."""
    names: list[str] = []
    pasted = []
    for step in steps:
        name = step.cls.name
        while name in taken or name in names:
            name += "_"
        set_ = {field: getattr(step.config, field) for field in sorted(step.config.model_fields_set)}
        with_ = f", with: {{{', '.join(f'{field}: {value}' for field, value in set_.items())}}}" if set_ else ""
        pasted.append(f"{name}: {{use: {step.cls.name}, from: {upstream}{with_}}}")
        names.append(name)
        upstream = f"{name}.{step.cls.outputs[step.output]}" if step.cls.outputs else name
    return pasted, upstream
