"""Losses as a node sees them: what was lost on the way to it, and where in the call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


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
