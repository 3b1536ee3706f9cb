"""Totals of one engine, and reports that count into them for no flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from flowcore.engine.bus import Bus
from flowcore.engine.losses import Losses
from flowcore.engine.stats import NodeStats, Reasons, Tally
from flowcore.events import Level
from flowcore.report import NoReport


@dataclass
class Totals:
    """Flows, failures, refusals by reason, losses and node counters of an engine since its start.

    ``lost`` and ``reasons``, the reasons of ends, are those of flows that have ended.
    """

    flows: int = 0
    failed: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    lost: Losses = field(default_factory=Losses)
    nodes: dict[str, NodeStats] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """Flows that have ended."""
        return sum(self.reasons.values())

    @property
    def refused(self) -> int:
        """Sessions that were refused."""
        return sum(self.refusals.values())

    @property
    def exit_code(self) -> int:
        """The exit code of the process: 1 if a flow failed or lost anything, else 0."""
        return int(bool(self.failed or self.lost))

    def add(self, other: Totals) -> None:
        self.flows += other.flows
        self.failed += other.failed
        for mine, theirs in ((self.refusals, other.refusals), (self.reasons, other.reasons)):
            for reason, count in theirs.items():
                mine[reason] = mine.get(reason, 0) + count
        self.lost.add(other.lost)
        for name, stats in other.nodes.items():
            self.nodes.setdefault(name, NodeStats()).add(stats)

    def json(self) -> dict[str, Any]:
        """Return JSON values for people: chunks, and milliseconds."""
        nodes = {name: stats.json() for name, stats in self.nodes.items()}
        return {
            **vars(self),
            "refused": self.refused,
            "lost_ms": round(self.lost.seconds * 1000),
            "lost": self.lost.json(),
            "nodes": nodes,
        }

    def to_message(self) -> Any:
        """Return JSON values for `from_message`, exactly as they are."""
        return msgspec.to_builtins(self)

    @classmethod
    def from_message(cls, message: Any) -> Totals:
        return msgspec.convert(message, cls, dec_hook=_tallies)


def _tallies(kind: type, message: Any) -> Any:
    """Make `Losses` or `Reasons`, which msgspec does not know."""
    if kind is Losses:
        return Losses(msgspec.convert(message, dict[str, Reasons], dec_hook=_tallies))
    return Reasons(msgspec.convert(message, dict[str, Tally]))


@dataclass
class ProcessReport(NoReport):
    """The report of a listener, a resource or a recovery, on audio and events that belong to no flow."""

    totals: Totals
    bus: Bus
    node: str
    _dropped: Reasons = field(default_factory=Reasons)

    def _stats(self) -> NodeStats:
        return self.totals.nodes.setdefault(self.node, NodeStats())

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        self._stats().dropped.count(reason, chunks, seconds)
        self._dropped.count(reason, chunks, seconds)

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        self._stats().filled.count(reason, chunks, seconds)

    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None:
        self.bus.emit(name, node=self.node, level=level, **data)

    def conclude(self) -> None:
        """Report what was dropped for no flow."""
        for reason, tally in self._dropped.items():
            level: Level = "warning" if self.bus.declared.lost(self.node, reason) else "info"
            self.event("audio_dropped", level=level, reason=reason, **tally.json())
