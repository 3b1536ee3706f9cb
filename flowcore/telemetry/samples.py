"""Values of metrics at one moment, which can be added up over processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowcore.metrics import Histogram, Metric

Key = tuple[str, ...]
"""The name of a metric, and the values of its labels."""


class Samples(dict[Key, list[float]]):
    """The value of each key: one number, or those of a `Histogram`: its counts, then its total."""

    def count(self, metric: Metric, value: float | Histogram, *labels: str) -> None:
        """Add a value to that of the same labels."""
        found = [*value.counts, value.total] if isinstance(value, Histogram) else [value]
        key = (metric.name, *labels)
        self[key] = [mine + new for mine, new in zip(self[key], found, strict=True)] if key in self else found

    def add(self, other: Samples) -> None:
        """Add all values of ``other``."""
        for key, values in other.items():
            mine = self.get(key)
            self[key] = [a + b for a, b in zip(mine, values, strict=True)] if mine else list(values)

    def raise_to(self, other: Samples) -> None:
        """Raise each value that is lower than in ``other``: counters never go down."""
        for key, values in other.items():
            mine = self.get(key)
            self[key] = [max(a, b) for a, b in zip(mine, values, strict=True)] if mine else list(values)

    def only(self, names: Iterable[str]) -> Samples:
        """Return the values of these metrics."""
        wanted = set(names)
        return Samples({key: values for key, values in self.items() if key[0] in wanted})

    def to_message(self) -> list[Any]:
        """Return JSON values for `from_message`."""
        return [[key, values] for key, values in self.items()]

    @classmethod
    def from_message(cls, message: Iterable[Any]) -> Samples:
        return cls({tuple(key): values for key, values in message})
