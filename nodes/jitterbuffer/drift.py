"""Keep parties beside each other whose clocks differ: the one that falls behind gets a few milliseconds more.

Each party's media is clocked by its own device. What its packets arrive later than their place says, the delay, rises
when that clock is slow. Networks only add to it, so the least delay of some seconds is the clock's part. All tracks
come by one connection: what moves them all alike (its route, or our clock) is none of our business, and what moves one
*against the others* for a whole window is drift. Only stamps decide: the same packets give the same bytes.

Clocks drift smoothly; a least delay that jumps is no clock's. Most often it is ours: sockets are read once a slot, so
packets that come just before a slot look on time for minutes, and then, when they come just after it, a slot late.
So a track that jumped is believed no finer than its delays lie around the least, which is a slot at the coarsest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from flowcore import Report
from flowcore.audio import TELEPHONE_RATE as RATE

WINDOW_SECONDS = 8.0
"""Seconds of arrivals that are judged together: a party alone may stall for nearly as long."""

LOOK_INTERVAL = 0.09
"""Seconds after which a packet is looked at closely again: those between only tell the least delay."""

MIN_LOOKS = 40
"""So many close looks at each track make a window worth judging: half of what a steady one has."""

MAX_LOOKS = 500
"""So many of them are kept at most, whatever somebody sends."""

SLOT_SECONDS = 0.020
"""The coarsest that stamps of an engine at ease are, in seconds."""

TOLERANCE = 0.005
"""Seconds that a track must be behind for certain, in two windows in a row, or three times that in one. Clocks that
differ by 400 ppm move another 8 ms until it is seen, and jitter hides a few more: they stay within 20 ms, or within
22 when it is 60 ms."""

TRUSTED_NEIGHBOURS = 2
"""The least delay is believed as finely as it and so many more lie together."""

MAX_CLOCK_CHANGE = 0.005
"""Seconds of change against the mean of all tracks, from window to window, that no clock makes (600 ppm). When one of
two tracks comes a slot later than before, each changes by half a slot."""

MAX_CHANGE = 0.1
"""Seconds that the least delay may change from window to window; more is no clock, but a file that is read fast."""

QUIET_TIMEOUT = 3 * RATE
"""Samples for which a quiet packet is waited for, before what is missing is spread."""

REPEAT_INTERVAL = 160
"""Where no quiet packet comes, one sample in so many is said twice: 0.6 % slower."""

QUIET = bytes(range(0x60, 0x80)) + bytes(range(0xE0, 0x100))
"""Mu-law of less than -38 dB full scale."""


Ranges = tuple[tuple[float, float], tuple[float, float]]
"""Between which seconds a least delay lies; and as coarse stamps would have it."""


class Pace:
    """How one track runs; ``least`` is its least delay in this window, in seconds, and may be lowered by anyone."""

    __slots__ = ("base", "before", "behind", "delays", "jumped", "least", "name", "seen", "waited")

    def __init__(self, name: str) -> None:
        self.name = name
        self.least = float("inf")
        self.before: float | None = None  # the least delay of the last window that was judged
        self.jumped = 0.0  # what the least delay changed by against the others at once, since they were level
        self.delays: list[float] = []  # some of this window's
        self.base: Ranges | None = None  # of its delay, when the tracks were level
        self.seen = False  # whether the last window said that it is behind
        self.behind = 0  # samples that it is to get
        self.waited = 0  # samples that passed since, and none of them quiet

    def look(self, delay: float) -> None:
        """Look closely at a packet: its arrival less its place, in seconds."""
        if delay < self.least:
            self.least = delay
        if len(self.delays) < MAX_LOOKS:
            self.delays.append(delay)

    def ranges(self) -> Ranges:
        """Where the least delay would lie had many more packets come, and had the stamps been finer as well."""
        least = self.least
        fine = 2 * least - sorted(self.delays)[TRUSTED_NEIGHBOURS]
        near = sorted({least, least + SLOT_SECONDS, *(delay for delay in self.delays if delay < least + SLOT_SECONDS)})
        widest = max(after - before for before, after in pairwise(near))
        return (fine, least), (min(fine, least - widest), least)

    def moved(self) -> tuple[float, float]:
        """How much later it is than when all tracks were level: at least and at most, in seconds."""
        if self.base is None:
            return 0.0, 0.0
        coarse = abs(self.jumped) >= MAX_CLOCK_CHANGE
        (low, high), (base_low, base_high) = self.ranges()[coarse], self.base[coarse]
        return low - base_high, high - base_low


class Drift:
    """Compares the ``tracks`` of a call window by window, and lengthens the packets of one that fell behind."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.ends = float("-inf")
        """The arrival with which `judge` is due, in seconds."""

    def judge(self, tracks: Sequence[Pace], now: float) -> None:
        """A window is over, ``now`` in seconds of arrivals; the next one begins."""
        if len(tracks) > 1 and all(len(track.delays) >= MIN_LOOKS for track in tracks):
            self._judge(tracks)
        self._begin(tracks)
        self.ends = now + WINDOW_SECONDS

    def restart(self, tracks: Sequence[Pace], *, forget: bool = False) -> None:
        """All paused: judge nothing across it. With ``forget`` a track has a new place, and that is level now."""
        self._begin(tracks)
        self.ends = float("-inf")
        if forget:
            for track in tracks:
                track.base, track.before = None, None
                track.behind, track.seen = 0, False

    def fill(self, track: Pace, data: bytes) -> bytes:
        """Lengthen a packet of a track that is ``behind``: much where it is quiet, and hardly where it never is."""
        track.waited += len(data)
        if not data.translate(None, QUIET):
            longer = data[: track.behind] + data
        elif track.waited > QUIET_TIMEOUT:
            step = REPEAT_INTERVAL
            starts = range(0, min(len(data), track.behind * step), step)
            longer = b"".join(data[at : at + 1] + data[at : at + step] for at in starts) + data[len(starts) * step :]
        else:
            return data
        more = len(longer) - len(data)
        track.behind -= more
        track.before = track.before and track.before - more / RATE
        self._report.filled("drift", more / RATE)
        return longer

    @staticmethod
    def _begin(tracks: Sequence[Pace]) -> None:
        for track in tracks:
            track.least, track.delays = float("inf"), []

    def _judge(self, tracks: Sequence[Pace]) -> None:
        changes = [0.0 if track.before is None else track.least - track.before for track in tracks]
        common = sum(changes) / len(changes)
        for track, change in zip(tracks, changes, strict=True):
            track.before = track.least
            track.jumped += change - common if abs(change - common) > MAX_CLOCK_CHANGE else 0.0
        if any(track.base is None for track in tracks):
            for track in tracks:
                track.base, track.jumped = track.ranges(), 0.0
        elif max(map(abs, changes)) < MAX_CHANGE:
            self._compare(tracks)

    def _compare(self, tracks: Sequence[Pace]) -> None:
        moved = {track: track.moved() for track in tracks}
        ahead = min(tracks, key=lambda track: sum(moved[track]))
        for track in tracks:
            certain = moved[track][0] - moved[ahead][1]
            again, track.seen = track.seen, certain > TOLERANCE
            track.behind = track.waited = 0
            if certain > (TOLERANCE if again else 3 * TOLERANCE):
                seconds = (sum(moved[track]) - sum(moved[ahead])) / 2
                track.behind, track.seen = round(seconds * RATE), False
                track.jumped = ahead.jumped = 0.0
                self._report.event("drift_corrected", track=track.name, seconds=round(seconds, 4))
