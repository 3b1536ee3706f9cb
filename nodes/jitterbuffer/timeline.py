"""From order to time: where each packet stands on the call's clock, and what was a hold and not a stall.

Packets of calls carry no time stamps. Media tells how much a party sent, arrival tells when, and their difference, the
*delay*, only ever grows by what the network does: so the least delay is the sender's own clock (RFC 3550, section
6.4.1; WebRTC's NetEQ decides likewise). Every track has a clock of its own. A packet that is much later than its
track's clock says was either stalled, and then the rest of what was held back follows much faster than speech, or
nothing was sent meanwhile: a hold. No track is moved by what happens to another one. Sans-IO and deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flowcore import Packet, Report
from flowcore.audio import TELEPHONE_RATE as RATE
from nodes.jitterbuffer.drift import LOOK_INTERVAL, Drift
from nodes.jitterbuffer.missing import came_too_early, missing_of
from nodes.jitterbuffer.ordered import Held
from nodes.jitterbuffer.track_clock import SAMPLE_SECONDS, TrackClock

MAX_SKEW = 0.002
"""Rise of the expected delay, in seconds per second of media: twice what bad clocks differ (1000 ppm), so that a
sender's slow clock never adds up to a hold. A lower delay is believed at once."""

LEVEL_TOLERANCE = 0.016
"""Seconds of difference that are taken for jitter, and not for another place, where tracks begin a call together."""

ORDER_TOLERANCE = 0.1
"""The same, in seconds, where packets are short or equally long: then the order in which they came is as exact."""

ORDER_PACKETS = 3
"""Packets of each track that show whether they take turns."""

MAX_WAITING_SECONDS = 30.0
"""Media of one track that waits at most, in seconds, however fast a stalled network goes on to deliver."""

_SKEW_PER_SAMPLE = MAX_SKEW / RATE


class LostAudio(bytes):
    """Silence in the place of a packet that did not come."""


class Timeline:
    """Places packets that come in order: calls ``place(track, start, data)``, ``start`` in samples.

    A track that is late by more than ``pause`` seconds waits, for ``settle`` seconds of arrivals at most once it stops
    catching up; then it either goes on where it was, or after a hold (or without, with ``collapse``). ``jump()`` is
    called before a hold of all tracks. A track that joins waits as long, to learn its delay; those that begin a call
    together stand side by side. Fulfils `nodes.jitterbuffer.ordered.Ordered`.
    """

    def __init__(
        self,
        place: Callable[[str, int, bytes], None],
        jump: Callable[[], None],
        report: Report,
        *,
        pause: float,
        settle: float,
        collapse: bool,
    ) -> None:
        self._place = place
        self._jump = jump
        self._report = report
        self._pause = pause
        self._pause_samples = round(pause * RATE)
        self._settle = settle
        self._collapse = collapse
        self._drift = Drift(report)
        self._tracks: dict[str, TrackClock] = {}
        self._undecided = 0  # tracks that wait
        self._order = 0  # packets that were ever kept back
        self._hold = (float("-inf"), 0)  # where the last hold of all began, and how long it was, in samples

    def follow(self, packet: Packet) -> None:
        track = self._tracks.get(packet.track) or self._join(packet.track)
        arrived, data = packet.arrived, packet.data
        start, length = track.position, len(data)
        delay = arrived - (start + length) * SAMPLE_SECONDS
        lag = delay - track.delay if track.delay is not None else delay
        late = self._pause + (track.batch_lag(arrived) if track.batch else 0.0)
        again = track.waiting and arrived - track.looked >= self._settle and lag > track.lowest + late
        if again and not track.catches_up(arrived) and not self._is_order_unknown():
            # This packet shows another hold, and belongs behind it; what begins the call is placed together.
            alone = [track] if self._running() else [each for each in self._tracks.values() if each.waiting]
            self._decide(alone, arrived)
            self.follow(packet)
            return
        track.length = length
        if track.waiting or track.delay is None or lag > late:
            self._wait(track, start, data, arrived, lag)
        else:
            if lag <= self._pause:
                track.on_time = arrived
            else:
                track.late_at = start
            rest = late - lag
            track.until = arrived + (rest if rest < LOOK_INTERVAL else LOOK_INTERVAL)
            if arrived >= self._drift.ends:
                self._drift.judge(tuple(self._running()), arrived)
            track.look(delay)
            if track.behind:
                data = self._drift.fill(track, data)
                track.until = float("-inf")
            track.position = start + len(data)
            track.delay += min(lag, (track.position - track.crept) * _SKEW_PER_SAMPLE)
            track.crept = track.position
            self._place(track.name, start - track.collapsed, data)
        if self._undecided:
            self._check(arrived)

    def lost(self, held: Held, count: int) -> None:
        """Silence for lost packets, each in the track that it seems to belong to."""
        for track in missing_of(self._tracks, held, count):
            silence = LostAudio(b"\xff" * track.length)
            start, track.position = track.position, track.position + track.length
            self._report.filled("lost", track.length * SAMPLE_SECONDS)
            if track.waiting:
                self._order += 1
                track.keep(self._order, start, silence, None)
            else:
                self._place(track.name, start - track.collapsed, silence)

    def too_early(self, held: Held, count: int) -> bool:
        """Whether ``held`` came too early for so many packets to have been spoken before it."""
        return came_too_early(self._tracks, held, count, 0.0)

    def jumped(self, held: Held, count: int) -> bool:
        """The same for more than `pause` seconds: jitter is as long."""
        return came_too_early(self._tracks, held, count, self._pause)

    def clock_of(self, name: str) -> TrackClock:
        """The clock of a known track, for a caller that places the packets in between by itself."""
        return self._tracks[name]

    def flush(self) -> None:
        if waiting := [track for track in self._tracks.values() if track.waiting]:
            self._decide(waiting, max(track.arrived for track in waiting))

    def _join(self, name: str) -> TrackClock:
        lead = self._lead()
        self._tracks[name] = TrackClock(name, self._position(name), lead.collapsed if lead else 0)
        return self._tracks[name]

    def _position(self, name: str) -> int:
        """Return the position of a track's next packet; a new track starts with the latest packet of the lead."""
        track = self._tracks.get(name)
        if track is not None:
            return track.position
        lead = self._lead()
        return max(0, lead.position - lead.length) if lead and lead.delay is not None else 0

    def _lead(self) -> TrackClock | None:
        return max(self._tracks.values(), key=lambda track: track.position, default=None)

    def _running(self) -> list[TrackClock]:
        return [track for track in self._tracks.values() if track.delay is not None]

    def _wait(self, track: TrackClock, start: int, data: bytes, arrived: float, lag: float) -> None:
        """Keep a packet back until it shows whether its track was stalled, on hold, or where it begins."""
        if not track.waiting:
            self._undecided += 1
            track.begin_to_wait(arrived, lag)
        self._order += 1
        track.keep(self._order, start, data, lag)
        track.arrived = arrived
        track.lowest = min(track.lowest, lag)
        track.position = start + len(data)
        if track.delay is not None and lag <= self._pause:
            track.learn_batch(track.lags()[0])
            self._decide([track], arrived)

    def _is_order_unknown(self) -> bool:
        """Whether tracks that begin a call have too few packets to show by their order how they stand."""
        waiting = [len(track.waiting) for track in self._tracks.values() if track.waiting]
        return not self._running() and len(waiting) > 1 and min(waiting) < ORDER_PACKETS

    def _check(self, now: float) -> None:
        """Decide about the tracks that have waited long enough, and no longer catch up."""
        waiting = [track for track in self._tracks.values() if track.waiting]
        # A long packet that is late takes long to be followed by the next.
        lengths = [track.length * SAMPLE_SECONDS if track.delay is not None else 0.0 for track in waiting]
        seconds = [now - track.looked - length - track.batch for track, length in zip(waiting, lengths, strict=True)]
        beginning = not self._running()
        burst = beginning and any(track.is_burst() for track in waiting)  # need not wait for time to pass
        if not burst and (max(seconds) < self._settle or (beginning and min(seconds) < self._settle / 2)):
            return
        if not burst and self._is_order_unknown():
            return
        due = []
        for track, waited in zip(waiting, seconds, strict=True):
            full = track.media_waiting > MAX_WAITING_SECONDS * RATE
            if track.delay is not None and track.catches_up(now) and not full:
                if waited >= self._settle:
                    track.looked, track.lowest_before = now, track.lowest
            elif burst or waited >= self._settle / 2:
                due.append(track)  # nearly as long as the one that is: most often a hold of both
        self._decide(due, now)

    def _decide(self, tracks: Sequence[TrackClock], now: float) -> None:
        """Place what waits of ``tracks``."""
        shifts = []
        running = self._running()
        for track in tracks:
            if track.delay is not None:
                stall = track.lowest <= self._pause or track.catches_up(now)
                hold = 0 if stall else self._resume(track, round(track.lowest * RATE))
                rest = track.lowest - hold * SAMPLE_SECONDS
                track.delay += rest if hold else min(0.0, rest)
                shifts.append((track, hold))
            elif running:
                shifts.append((track, self._join_running(track, running)))
        if not running:
            shifts += self._begin([track for track in tracks if track.delay is None])
        if any(track.delay is None for track, _ in shifts):
            for track, shift in shifts:
                if track.delay is None:
                    track.delay = track.lowest - shift * SAMPLE_SECONDS
                    track.learn_batch(track.lags()[0] - track.lowest)
            self._drift.restart(tuple(self._running()), forget=True)
        self._release(shifts)

    def _join_running(self, track: TrackClock, running: Sequence[TrackClock]) -> int:
        """How far to shift a track that joins others, in samples, so that its least delay is their expected one."""
        clock = min(other.delay for other in running if other.delay is not None)
        return max(-track.waiting[0].start, round((track.lowest - clock) * RATE))

    def _begin(self, tracks: Sequence[TrackClock]) -> list[tuple[TrackClock, int]]:
        """Place tracks that begin a call, in samples: by their delays or, within jitter, by the order of packets."""
        tracks = sorted(tracks, key=lambda track: track.lowest)
        first = tracks[0]
        found = [(first, 0)]
        for track in tracks[1:]:
            behind = round((track.lowest - first.lowest) * RATE)
            in_order = max(0, min(first.latest_before(packet.order) - packet.start for packet in track.waiting))
            unsure = max(LEVEL_TOLERANCE, first.uncertainty(), track.uncertainty())
            longest = max(first.length, track.length)
            if first.length == track.length or longest <= LEVEL_TOLERANCE * RATE:
                # Their order tells as much, at any load; equal packets that alternate start together.
                unsure = max(unsure, ORDER_TOLERANCE)
            burst = max(first.arrived, track.arrived) - min(first.began, track.began) < self._settle / 2
            if burst or _take_turns(first, track):  # then arrivals say little, as of a machine that was busy
                unsure = float("inf")
            near = abs(behind - in_order) <= unsure * RATE
            found.append((track, min(in_order, behind) if near else behind))
        return found

    def _resume(self, track: TrackClock, hold: int) -> int:
        """The length of the hold after which a track goes on, in samples: with the others, where they held too."""
        start = track.waiting[0].start
        began, shared = self._hold
        if abs(start - began) <= self._pause_samples:  # a hold of all, which was told
            own = hold + track.owed
            hold = shared if abs(own - shared) <= max(LEVEL_TOLERANCE, track.uncertainty()) * RATE else own
            track.owed = own - hold
        else:
            others = [other for other in self._running() if other is not track]
            of_all = all(other.waiting or other.position - start <= self._pause_samples for other in others)
            if of_all:
                self._hold = (start, hold)
                self._jump()
            self._report.event(
                "hold_ended",
                track="" if of_all else track.name,
                start=(start - track.collapsed) * SAMPLE_SECONDS,
                seconds=hold * SAMPLE_SECONDS,
            )
            self._drift.restart(tuple(self._running()), forget=not of_all)
        if self._collapse:
            track.collapsed += hold
        return hold

    def _release(self, tracks: Sequence[tuple[TrackClock, int]]) -> None:
        """Place what waited, in the order of its coming, so many samples later than where it stood."""
        released = []
        for track, shift in tracks:
            released += [(packet, track, shift - track.collapsed) for packet in track.waiting]
            track.waiting = []
            track.position += shift
            track.crept = track.position
            track.on_time = track.arrived
        self._undecided -= len(tracks)
        for packet, track, shift in sorted(released, key=lambda entry: entry[0].order):
            self._place(track.name, packet.start + shift, packet.data)


def _take_turns(first: TrackClock, track: TrackClock) -> bool:
    """Whether the packets of two tracks alternate, so that their order is exact at any load of this machine."""
    if max(first.length, track.length) > ORDER_TOLERANCE * RATE:
        return False  # a packet as long as that is no turn
    offsets = [first.latest_before(packet.order) - packet.start for packet in track.waiting]
    return len(offsets) >= ORDER_PACKETS and max(offsets) - min(offsets) <= max(first.length, track.length)
