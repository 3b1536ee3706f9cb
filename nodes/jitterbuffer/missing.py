"""Missing numbers of a counter that several tracks may share: whose packets they were, or that they never were packets.

A lost packet shows in the packets behind it: they arrive later, by its length, than their positions say. The least
of these *gaps* counts, as jitter only adds to a delay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nodes.jitterbuffer.ordered import Held
from nodes.jitterbuffer.track_clock import SAMPLE_SECONDS, TrackClock

EVIDENCE = 0.5
"""The part of a packet's length by which a track's packets must be late to show that one is missing."""


class _Gap:
    """The gap of one track: ``packets`` that seem to be missing, of its latest packet's length."""

    __slots__ = ("heard", "packets", "track", "waited")

    def __init__(self, track: TrackClock, held: Held, now: float) -> None:
        own = held[track.name]
        seconds = max(track.length, 1) * SAMPLE_SECONDS
        self.track = track
        self.heard = bool(own)
        self.packets = track.gap(own, now) / seconds
        if not own:
            self.packets -= 1 - EVIDENCE  # the next packet is due at its end
        self.waited = track.late_by / seconds  # by which it was late before the gap

    def rank(self, left: int) -> tuple[int, float]:
        """The likelihood, as a number to compare, that the track misses one of the ``left`` packets."""
        if self.heard and self.packets >= EVIDENCE:
            return 4 if self.packets < left + EVIDENCE else 3, self.packets  # what lacks more than that was on hold
        if self.heard and self.packets <= -EVIDENCE <= self.packets + self.waited:
            return 2, self.packets + self.waited  # it catches up, and most packets are its own
        return int(self.packets >= EVIDENCE), self.packets


def missing_of(tracks: Mapping[str, TrackClock], held: Held, count: int) -> Iterator[TrackClock]:
    """Yield for each of ``count`` missing packets the track that it seems to belong to.

    Fewer where a track is not in ``tracks`` yet: it starts with what is here of it.
    """
    now = max(packet.arrived for own in held.values() for packet in own)
    gaps = [_Gap(tracks[name], held, now) for name in held if name in tracks]
    for left in range(count, 0, -1):
        best = max(gaps, key=lambda gap: gap.rank(left), default=None)
        if best is None or (len(gaps) < len(held) and best.packets < EVIDENCE):
            return
        best.packets -= 1
        yield best.track


def came_too_early(tracks: Mapping[str, TrackClock], held: Held, count: int, least: float) -> bool:
    """Whether ``held`` came too early for ``count`` packets to have been spoken before it: their numbers jumped.

    Gaps of up to ``least`` seconds are always believed: jitter is as long.
    """
    known = [tracks[name] for name in held if name in tracks]
    if not known:
        return False
    now = max(packet.arrived for own in held.values() for packet in own)
    seconds = count * min(track.length for track in known) * SAMPLE_SECONDS
    gaps = sum(track.gap(held[track.name], now) + track.late_by for track in known)
    return seconds > least and gaps < seconds / 2
