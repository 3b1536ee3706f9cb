"""Values of metrics at one moment, which can be added up over processes."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from flowcore.metrics import Histogram, Metric

Key = tuple[str, ...]
"""The name of a metric, and the values of its labels."""


@dataclass(frozen=True)
class Exemplar:
    """A call behind a value: the id of its trace, and what was measured there; in ``bucket`` of a histogram."""

    trace_id: str
    value: float
    bucket: int = 0


class Samples(dict[Key, list[float]]):
    """The value of each key: one number, or those of a `Histogram`: its counts, then its total.

    ``exemplars`` has calls behind them, one for each key and bucket.
    """

    def __init__(self, values: Iterable[tuple[Key, list[float]]] = (), exemplars: Iterable[Any] = ()) -> None:
        super().__init__(values)
        self.exemplars: dict[tuple[Key, int], Exemplar] = dict(exemplars)

    def count(self, metric: Metric, value: float | Histogram, *labels: str) -> None:
        """Add a value to that of the same labels."""
        found = [*value.counts, value.total] if isinstance(value, Histogram) else [value]
        key = (metric.name, *labels)
        self[key] = [mine + new for mine, new in zip(self[key], found, strict=True)] if key in self else found

    def explain(self, metric: Metric, exemplar: Exemplar, *labels: str) -> None:
        """Name a call behind the value of these labels."""
        self.exemplars[(metric.name, *labels), exemplar.bucket] = exemplar

    def add(self, other: Samples) -> None:
        """Add all values of ``other``, and take its exemplars."""
        for key, values in other.items():
            mine = self.get(key)
            self[key] = [a + b for a, b in zip(mine, values, strict=True)] if mine else list(values)
        self.exemplars.update(other.exemplars)

    def raise_to(self, other: Samples, names: Container[str]) -> None:
        """Raise each value of the metrics ``names`` that is lower than in ``other``: counters never go down."""
        for key, values in other.items():
            if key[0] not in names:
                continue
            mine = self.get(key)
            if mine is None:
                self[key] = list(values)
            elif mine != values:
                self[key] = [max(a, b) for a, b in zip(mine, values, strict=True)]

    def only(self, names: Container[str]) -> Samples:
        """Return the values of these metrics."""
        return Samples(
            ((key, values) for key, values in self.items() if key[0] in names),
            ((at, exemplar) for at, exemplar in self.exemplars.items() if at[0][0] in names),
        )

    def to_message(self) -> dict[str, Any]:
        """Return JSON values for `from_message`."""
        exemplars = [[key, found.trace_id, found.value, bucket] for (key, bucket), found in self.exemplars.items()]
        return {"values": [[key, values] for key, values in self.items()], "exemplars": exemplars}

    @classmethod
    def from_message(cls, message: Any) -> Samples:
        exemplars = (
            ((tuple(key), bucket), Exemplar(trace_id, value, bucket))
            for key, trace_id, value, bucket in message["exemplars"]
        )
        return cls(((tuple(key), values) for key, values in message["values"]), exemplars)
