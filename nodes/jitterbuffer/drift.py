"""Clock skew between the parties of a call: the party that falls behind is lengthened by a few milliseconds.

Each party's media is clocked by its own device. The delay of a packet (its arrival minus its position) rises when that
clock is slow. Networks only add to the delay, so its minimum over some seconds is the clock's part. All tracks share
one connection: a change of all tracks (the route, or this machine's clock) is ignored, and a change of one
*against the others* that lasts a whole window is drift. Only arrival stamps decide: a replay gives the same bytes.

Clocks drift smoothly, so a minimum that jumps is not drift. Its usual cause is this process: sockets are read once a
slot, so packets that arrive just before a slot look punctual for minutes, and one slot late once they arrive just after
it. The minimum of a track that jumped is therefore trusted only to within the spread of its delays, at most one slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from flowcore import Report
from flowcore.audio import TELEPHONE_RATE as RATE

WINDOW_SECONDS = 8.0
"""Length of a window in seconds of arrivals. A single party may stall for nearly as long."""

LOOK_INTERVAL = 0.09
"""Seconds between two recorded delays of a track. Packets in between only lower the minimum."""

MIN_LOOKS = 40
"""Recorded delays that each track needs for a window to count: half of those of a steady track."""

MAX_LOOKS = 500
"""Recorded delays that are kept per window at most."""

SLOT_SECONDS = 0.020
"""Resolution of arrival stamps while the engine keeps up, in seconds."""

TOLERANCE = 0.005
"""Seconds by which a track must certainly be behind, in two windows in a row, or three times as much in one. Clocks
that differ by 400 ppm move by another 8 ms until then, and jitter hides a few more: the parties stay within 20 ms, or
within 22 ms at 60 ms of jitter."""

TRUSTED_NEIGHBOURS = 2
"""The uncertainty of the minimum is its distance to the N-th next delay."""

MAX_CLOCK_CHANGE = 0.005
"""Change against the mean of all tracks, in seconds per window, that exceeds any clock's (600 ppm). When one of two
tracks comes a slot later than before, each changes by half a slot."""

MAX_CHANGE = 0.1
"""Change of the minimum in seconds per window above which a file is being read faster than real time."""

QUIET_TIMEOUT = 3 * RATE
"""Samples without a quiet packet after which the missing samples are spread over speech."""

REPEAT_INTERVAL = 160
"""In speech, one sample of this many is repeated: 0.6 % slower."""

QUIET = bytes(range(0x60, 0x80)) + bytes(range(0xE0, 0x100))
"""Mu-law of less than -38 dB full scale."""


Ranges = tuple[tuple[float, float], tuple[float, float]]
"""The interval of a minimum delay in seconds, for fine arrival stamps and for stamps of one slot."""


class Pace:
    """The pace of one track. ``least`` is its minimum delay in this window, in seconds; callers may lower it."""

    __slots__ = ("base", "before", "behind", "delays", "jumped", "least", "name", "seen", "waited")

    def __init__(self, name: str) -> None:
        self.name = name
        self.least = float("inf")
        self.before: float | None = None  # minimum of the previous window
        self.jumped = 0.0  # sum of the jumps of the minimum against the others, since the tracks were level
        self.delays: list[float] = []  # recorded in this window
        self.base: Ranges | None = None  # of the minimum, when the tracks were level
        self.seen = False  # whether the previous window showed it behind
        self.behind = 0  # samples to add
        self.waited = 0  # samples since then, none of them quiet

    def look(self, delay: float) -> None:
        """Record a packet's delay: its arrival minus its position, in seconds."""
        if delay < self.least:
            self.least = delay
        if len(self.delays) < MAX_LOOKS:
            self.delays.append(delay)

    def ranges(self) -> Ranges:
        """Return the interval of the true minimum, for fine stamps and for coarse ones."""
        least = self.least
        fine = 2 * least - sorted(self.delays)[TRUSTED_NEIGHBOURS]
        near = sorted({least, least + SLOT_SECONDS, *(delay for delay in self.delays if delay < least + SLOT_SECONDS)})
        widest = max(after - before for before, after in pairwise(near))
        return (fine, least), (min(fine, least - widest), least)

    def moved(self) -> tuple[float, float]:
        """Return the change since all tracks were level, at least and at most, in seconds."""
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
        """End a window at ``now``, in seconds of arrivals, and begin the next one."""
        if len(tracks) > 1 and all(len(track.delays) >= MIN_LOOKS for track in tracks):
            self._judge(tracks)
        self._begin(tracks)
        self.ends = now + WINDOW_SECONDS

    def restart(self, tracks: Sequence[Pace], *, forget: bool = False) -> None:
        """Begin a new window after a pause. With ``forget``, the present positions count as level from now on."""
        self._begin(tracks)
        self.ends = float("-inf")
        if forget:
            for track in tracks:
                track.base, track.before = None, None
                track.behind, track.seen = 0, False

    def fill(self, track: Pace, data: bytes) -> bytes:
        """Lengthen a packet of a track that is ``behind``: at once where it is quiet, slowly in speech."""
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
