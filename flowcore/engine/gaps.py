"""The stretches of a call that nodes and borders lost, joined where they are too many to keep."""

from __future__ import annotations

from array import array
from typing import Any, Final

from flowcore.audio import Audio
from flowcore.losses import Gap
from flowcore.text import Text

MAX_GAPS: Final = 1000
"""Gaps of one node, reason and track; where there are more, those closest together become one."""
ROUNDING: Final = 1e-6
"""Seconds between gaps that are contiguous."""
FIRST_TOLERANCE: Final = 0.02
"""Seconds up to which gaps are joined first where there are too many; doubled as often as it takes."""


class Gaps:
    """The gaps of one flow. Each node's come from one thread at a time; `of` may be called from any."""

    def __init__(self) -> None:
        self._gaps: dict[tuple[str, str, str], array[float]] = {}  # start, end, seconds of each gap, one after another
        self._tolerance = ROUNDING

    def add(self, node: str, reason: str, gap: Gap) -> None:
        key = (node, reason, gap.track)
        if key not in self._gaps:
            self._gaps[key] = array("d")
        gaps = self._gaps[key]
        _append(gaps, gap.start, gap.end, gap.seconds, self._tolerance)
        while len(gaps) > 3 * MAX_GAPS:
            self._tolerance = max(2 * self._tolerance, FIRST_TOLERANCE)
            fewer = array("d")
            for at in range(0, len(gaps), 3):
                start, end, seconds = gaps[at : at + 3]
                _append(fewer, start, end, seconds, self._tolerance)
            gaps = self._gaps[key] = fewer

    def add_chunk(self, node: str, reason: str, chunk: Any) -> None:
        """Add the place of a lost chunk, if it has one: packets have none."""
        if isinstance(chunk, Audio):
            self.add(node, reason, Gap(chunk.track, chunk.start / chunk.rate, chunk.end / chunk.rate, chunk.seconds))
        elif isinstance(chunk, Text):
            self.add(node, reason, Gap(chunk.track, chunk.start, chunk.end, 0.0))

    def of(self, node: str, reason: str) -> tuple[Gap, ...]:
        """Return the gaps of one node and reason, in order."""
        found = []
        for (other, why, track), gaps in tuple(self._gaps.items()):
            if (other, why) == (node, reason):
                values = gaps[:]  # a copy: another thread may add one
                found += [Gap(track, *values[at : at + 3]) for at in range(0, len(values), 3)]
        return tuple(sorted(found, key=lambda gap: gap.start))

    def latest(self, count: int) -> list[tuple[str, str, Gap]]:
        """Return the latest gaps of all nodes, each with its node and reason, in order."""
        found = []
        for (node, reason, track), gaps in tuple(self._gaps.items()):
            values = gaps[-3 * count :]  # a copy: another thread may add one
            found += [(node, reason, Gap(track, *values[at : at + 3])) for at in range(0, len(values), 3)]
        return sorted(found, key=lambda each: each[2].start)[-count:]

    def between(self, node: str, reason: str) -> tuple[float, float] | None:
        """Return the first and the last second that are missing, to the millisecond; None where no place is known."""
        gaps = self.of(node, reason)
        return (round(gaps[0].start, 3), round(max(gap.end for gap in gaps), 3)) if gaps else None


def _append(gaps: array[float], start: float, end: float, seconds: float, tolerance: float) -> None:
    """Append a gap, or join it with the last one where it begins at most ``tolerance`` seconds behind that one."""
    if gaps and start >= gaps[-3] and start - gaps[-2] <= tolerance:
        gaps[-2] = max(gaps[-2], end)
        gaps[-1] += seconds
    else:
        gaps.extend((start, end, seconds))
