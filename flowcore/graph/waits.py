"""Nodes that wait for the party that is behind, compared with how long the nodes before them may hold a party back.

Packets carry the time of their arrival, so what delays packets is the network's matter. A node that gives audio delays
one party, such as one with a lost packet, while the other goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from flowcore.graph.plan import PlanNode
from flowcore.units import Duration


class ShortWait(NamedTuple):
    """A node that waits less long than a party may be held back by the ``slow`` nodes before it."""

    node: PlanNode
    wait: Duration
    slow: tuple[tuple[str, float], ...]  # names, and latencies in seconds

    @property
    def behind(self) -> float:
        """Seconds by which a party may be behind."""
        return sum(seconds for _, seconds in self.slow)

    @property
    def enough(self) -> Duration:
        """A wait that is long enough, in whole seconds."""
        return Duration(f"{math.ceil(self.behind)}s")


def short_waits(nodes: Mapping[str, PlanNode]) -> Iterator[ShortWait]:
    """Yield each node whose wait is too short; ``nodes`` in topological order."""
    slowest: dict[str, tuple[tuple[str, float], ...]] = {}
    for node in nodes.values():
        paths = [slowest[upstream] for upstream, _ in node.inputs]
        slow = max(paths, key=lambda path: sum(seconds for _, seconds in path), default=())
        if node.cls.waits:
            short = ShortWait(node, getattr(node.config, node.cls.waits), slow)
            if short.behind > short.wait:
                yield short
        if node.given is not None and any(gives.kind == "audio" for gives in node.gives):
            latency = float(node.cls.latency(node.config, node.given))
            slow = (*slow, (node.name, latency)) if latency else slow
        slowest[node.name] = slow
