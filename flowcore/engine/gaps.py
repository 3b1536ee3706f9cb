"""Where in the call audio is missing: the stretches that nodes and borders lost, few enough to keep."""

from __future__ import annotations

from typing import Any, Final

from flowcore.audio import Audio
from flowcore.losses import Gap
from flowcore.text import Text

MAX_GAPS: Final = 200
"""Gaps of one node, reason and track; where there are more, those closest together become one."""
ROUNDING: Final = 1e-6
"""Seconds between gaps that are contiguous."""


class Gaps:
    """The gaps of one flow. Each node's come from one thread at a time; `of` may be called from any."""

    def __init__(self) -> None:
        self._gaps: dict[tuple[str, str, str], list[Gap]] = {}
        self._tolerance = ROUNDING

    def add(self, node: str, reason: str, gap: Gap) -> None:
        gaps = self._gaps.setdefault((node, reason, gap.track), [])
        if gaps and 0 <= gap.start - gaps[-1].end <= self._tolerance:
            gaps[-1] = _joined(gaps[-1], gap)
            return
        gaps.append(gap)
        while len(gaps) > MAX_GAPS:
            self._tolerance = max(2 * self._tolerance, 0.02)
            gaps = self._gaps[node, reason, gap.track] = _coarse(gaps, self._tolerance)

    def add_chunk(self, node: str, reason: str, chunk: Any) -> None:
        """Add the place of a lost chunk, if it has one: packets have none."""
        if isinstance(chunk, Audio):
            self.add(node, reason, Gap(chunk.track, chunk.start / chunk.rate, chunk.end / chunk.rate, chunk.seconds))
        elif isinstance(chunk, Text):
            self.add(node, reason, Gap(chunk.track, chunk.start, chunk.end, 0.0))

    def of(self, node: str, reason: str) -> tuple[Gap, ...]:
        """Return the gaps of one node and reason, in order."""
        found = [gap for key, gaps in tuple(self._gaps.items()) if key[:2] == (node, reason) for gap in tuple(gaps)]
        return tuple(sorted(found, key=lambda gap: gap.start))

    def between(self, node: str, reason: str) -> tuple[float, float] | None:
        """Return the first and the last second that are missing, to the millisecond; None where no place is known."""
        gaps = self.of(node, reason)
        return (round(gaps[0].start, 3), round(max(gap.end for gap in gaps), 3)) if gaps else None


def _joined(one: Gap, other: Gap) -> Gap:
    return Gap(one.track, one.start, max(one.end, other.end), one.seconds + other.seconds)


def _coarse(gaps: list[Gap], tolerance: float) -> list[Gap]:
    """Return the gaps with those joined that are not further apart than ``tolerance`` seconds."""
    coarse = gaps[:1]
    for gap in gaps[1:]:
        if gap.start - coarse[-1].end <= tolerance:
            coarse[-1] = _joined(coarse[-1], gap)
        else:
            coarse.append(gap)
    return coarse
