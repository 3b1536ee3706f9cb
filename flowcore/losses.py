"""Losses as a node sees them: what was lost on the way to it, and where in the call."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

ROUNDING: Final = 1e-6
"""Seconds of a sum of gaps that are no audio."""


class Gap(NamedTuple):
    """A stretch of a call, in seconds, of which ``seconds`` are missing; of all parties where ``track`` is empty."""

    track: str
    start: float
    end: float
    seconds: float


@dataclass(frozen=True)
class Loss:
    """Audio or texts that ``node`` lost for ``reason``.

    ``seconds`` is the length of all lost audio, ``chunks`` the number of lost chunks. ``gaps`` say where, in order, for
    the part whose position is known; many gaps close together are one.
    """

    node: str
    reason: str
    chunks: int
    seconds: float
    gaps: tuple[Gap, ...] = ()

    def in_tracks(self, tracks: Container[str]) -> Loss | None:
        """Return the part of the loss that is not known to be of other tracks; None where all of it is."""
        gaps = tuple(gap for gap in self.gaps if not gap.track or gap.track in tracks)
        seconds = self.seconds - sum(gap.seconds for gap in self.gaps if gap not in gaps)
        if self.gaps and not gaps and seconds < ROUNDING:
            return None
        return replace(self, seconds=max(seconds, 0.0), gaps=gaps)
