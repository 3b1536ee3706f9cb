"""Divide what a call lost among the files of its recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowcore import Loss
from nodes.recording.journal import Gap

ROUNDING: Final = 1e-6
"""Seconds by which a gap of many packets may seem shorter than it is."""

LostSeconds = dict[str, dict[str, float]]
"""Seconds of lost audio by node and reason."""


class LossShares:
    """Gives each file the gaps within it; what has no place in the call goes to the file that is finished next."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], float] = {}  # seconds without a place that earlier files got

    def take(self, losses: Sequence[Loss], start: float, end: float) -> tuple[list[Gap], LostSeconds]:
        """Return the gaps and lost seconds of a file that holds the call from ``start`` to ``end``, in seconds."""
        gaps: list[Gap] = []
        lost: LostSeconds = {}
        for loss in losses:
            key = (loss.node, loss.reason)
            elsewhere = loss.seconds - sum(gap.seconds for gap in loss.gaps)
            seconds = max(elsewhere - self._told.get(key, 0.0), 0.0)
            self._told[key] = elsewhere
            for gap in loss.gaps:
                first, last = max(gap.start, start), min(gap.end, end)
                if first < last:
                    missing = gap.seconds * (last - first) / (gap.end - gap.start)
                    seconds += missing
                    some = None if missing > last - first - ROUNDING else round(missing, 6)
                    gaps.append(Gap(round(first, 6), round(last, 6), loss.reason, loss.node, gap.track, some))
            if round(seconds, 6):
                lost.setdefault(loss.node, {})[loss.reason] = round(seconds, 6)
        return sorted(gaps, key=lambda gap: gap.start), lost
