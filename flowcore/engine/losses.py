"""The losses of a flow: audio that the peer sent, or should have sent, and that is missing from the result.

`flowcore.events.Reason.lost` decides which counters are losses, so that all places that report losses agree.
"""

from __future__ import annotations

from typing import Any

from flowcore.engine.stats import Reasons


class Losses(dict[str, Reasons]):
    """Lost chunks and audio by node and reason; nodes that lost nothing are left out."""

    def count(self, node: str, reason: str, chunks: int, seconds: float) -> None:
        self.setdefault(node, Reasons()).count(reason, chunks, seconds)

    def add(self, other: Losses) -> None:
        for node, reasons in other.items():
            for reason, tally in reasons.items():
                self.count(node, reason, tally.chunks, tally.seconds)

    @property
    def seconds(self) -> float:
        """Length of all lost audio, each party's counted."""
        return sum(reasons.total().seconds for reasons in self.values())

    def json(self) -> dict[str, Any]:
        """Return JSON values: chunks and milliseconds."""
        return {node: reasons.json() for node, reasons in self.items()}
