"""Totals of one engine, and reports that count into them for no flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowcore.engine.bus import Bus
from flowcore.engine.stats import NodeStats
from flowcore.events import Level


@dataclass
class Totals:
    """Flows, failures, refusals and node counters of an engine since its start."""

    flows: int = 0
    failed: int = 0
    refused: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, NodeStats] = field(default_factory=dict)

    def add(self, other: Totals) -> None:
        self.flows += other.flows
        self.failed += other.failed
        self.refused += other.refused
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count
        for name, stats in other.nodes.items():
            self.nodes.setdefault(name, NodeStats()).add(stats)

    def json(self) -> dict[str, Any]:
        """Return JSON values, for `read`."""
        return {**vars(self), "nodes": {name: stats.json() for name, stats in self.nodes.items()}}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Totals:
        return cls(**{**data, "nodes": {name: NodeStats.read(stats) for name, stats in data["nodes"].items()}})


@dataclass
class ProcessReport:
    """The report of a listener, a resource or a recovery, on audio and events that belong to no flow."""

    totals: Totals
    bus: Bus
    node: str

    def _stats(self) -> NodeStats:
        return self.totals.nodes.setdefault(self.node, NodeStats())

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        self._stats().dropped.count(reason, chunks, seconds)

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        self._stats().filled.count(reason, chunks, seconds)

    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None:
        self.bus.emit(name, node=self.node, level=level, **data)
