"""From order to time: where on the call's clock each packet stands, and what was a pause and not a delay.

Packets of calls carry no time stamps. Their media says how much was sent, their arrival when: while everyone sends,
the two run side by side. Media that falls behind shows a pause (somebody put the call on hold, and nothing was sent)
unless what is missing comes in a burst (the network was stuck, and everything was sent). Sans-IO and deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from flowcore import Packet, Report
from nodes.jitterbuffer.drift import LOOK, Drift, Pace

RATE = 8000
"""Samples, and bytes, per second of a packet's data."""

CREEP = 0.002
"""How fast the expected delay may rise, in seconds per second: twice what bad clocks differ (1000 ppm), so that a
sender's slow clock is followed and never adds up to a pause. It falls at once."""

SAMPLE = 1 / RATE
_CREEP_PER_SAMPLE = CREEP / RATE


class Place(Pace):
    """Where a track stands. A packet of `length` that arrives by `until` is no pause and goes to `position`.

    Whoever puts it there lowers `least` to its arrival less its place, in seconds: `nodes.jitterbuffer.drift`.
    """

    __slots__ = ("collapsed", "crept", "length", "position", "until")

    def __init__(self, name: str, position: int, collapsed: int) -> None:
        super().__init__(name)
        self.position = position  # where its next packet stands, in samples since the first packet of the call
        self.length = 0  # of its latest packet, in samples
        self.collapsed = collapsed  # samples of pauses that were left out
        self.crept = position  # up to where the expected delay has risen with it
        self.until = float("-inf")


class Timeline:
    """Places packets that come in order: calls ``place(track, start, data)``, ``start`` in samples.

    A pause of more than ``pause`` seconds becomes a jump of ``start`` (or none, with ``collapse``): of one track when
    the others went on meanwhile, of all when it shows in arrivals and still does after ``settle`` seconds of media.
    Before all tracks jump, ``jump()`` is called. Fulfils `nodes.jitterbuffer.sequence.Ordered`.
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
        self._settle = round(settle * RATE)
        self._collapse = collapse
        self._drift = Drift(report)
        self._tracks: dict[str, Place] = {}
        self._starts: dict[str, int] = {}  # where tracks that were heard first will start
        self._lead = Place("", 0, 0)  # the track that is furthest
        self.last = ""  # the track whose turn it was last
        self._delay: float | None = None  # arrival of a packet minus its place: the least of late
        self._doubtful: list[tuple[Place, int, bytes]] = []  # kept back while a pause is not yet told from a delay
        self._lags: list[
            tuple[Place, int, float]
        ] = []  # track and start of each of them, and how late it was in seconds

    def begin(self, packets: Sequence[tuple[Packet, int]]) -> None:
        """Find out how much later than the first track the others start.

        Any packet tells it: the latest start of the first track, less what the other already sent. The least is
        right, because packets that were overtaken only make it look later.
        """
        latest = 0
        for packet, before in packets:
            if packet.track == packets[0][0].track:
                latest = max(latest, before)
            start = max(0, latest - before)
            self._starts[packet.track] = min(start, self._starts.get(packet.track, start))

    def follow(self, packet: Packet, now: float) -> None:
        track = self._tracks.get(packet.track) or self._join(packet.track)
        data = packet.data
        length = len(data)
        start = track.position
        lead = self._lead
        if lead.position - start > self._pause_samples:
            start = self._resume(track, packet.arrived - now)
        if self._delay is None:
            self._delay = packet.arrived - start * SAMPLE
        delay = packet.arrived - start * SAMPLE
        lag = delay - self._delay
        if lag > self._pause and self._lags and lag > self._lags[-1][2] + self._pause:
            self._decide()  # another pause within the doubt about one
            self.follow(packet, now)
            return
        track.length = length
        track.position = start + length
        if track.position > lead.position:
            self._lead = track
        self.last = track.name
        if lag > self._pause or self._doubtful:
            self._doubt(track, start, data, lag)
            return
        rest = self._pause - lag
        track.until = packet.arrived + (rest if rest < LOOK else LOOK)
        if packet.arrived >= self._drift.ends:
            self._drift.judge(tuple(self._tracks.values()), packet.arrived)
        track.look(delay)
        if track.behind:
            data = self._fill(track, start, data)
        self._delay += min(lag, (track.position - track.crept) * _CREEP_PER_SAMPLE)
        track.crept = track.position
        self._place(track.name, start - track.collapsed, data)

    def lost(self, held: Mapping[str, int]) -> None:
        """Silence for a lost packet, in the track that is furthest behind: it would have filled that up."""
        reach = {name: self._position(name) + samples for name, samples in held.items()}
        if max(held.values()) > 3 * self._lead.length:  # long enough to see who sends nothing now
            reach = {name: reach[name] for name in reach if held[name]}
        furthest = max(reach.values())
        active = [name for name in reach if furthest - reach[name] <= self._pause_samples]
        # Where two are level, it is the turn of the one who was not heard last.
        name = min(active, key=lambda name: (reach[name], name == self.last))
        self.last = name
        track = self._tracks.get(name)
        if track is None:
            return  # it was the first of its track, which simply starts with the next one
        silence = b"\xff" * track.length
        start, track.position = track.position, track.position + track.length
        if track.position > self._lead.position:
            self._lead = track
        self._report.filled("lost", track.length * SAMPLE)
        if self._doubtful:
            self._doubtful.append((track, start, silence))
        else:
            self._place(name, start - track.collapsed, silence)

    def place_of(self, name: str) -> Place:
        """Where a known track stands, for a caller that places the packets in between by itself."""
        return self._tracks[name]

    def flush(self) -> None:
        if self._doubtful:
            self._decide()

    def _fill(self, track: Place, start: int, data: bytes) -> bytes:
        data = self._drift.fill(track, data)
        track.position = start + len(data)
        if track.position > self._lead.position:
            self._lead = track
        track.until = float("-inf")
        return data

    def _position(self, name: str) -> int:
        """Where the next packet of a track would stand; a new one starts with the latest packet of the lead."""
        track = self._tracks.get(name)
        if track is not None:
            return track.position
        return self._starts.get(name, max(0, self._lead.position - self._lead.length))

    def _join(self, name: str) -> Place:
        track = self._tracks[name] = Place(name, self._position(name), self._lead.collapsed)
        if len(self._tracks) == 1:
            self._lead = track
        self._drift.restart(tuple(self._tracks.values()), forget=True)
        return track

    def _resume(self, track: Place, waited: float) -> int:
        """Where a track goes on that paused while others did not; ``waited`` (<= 0) is what reordering took since."""
        reach = self._lead.position + round(waited * RATE)
        if reach - track.position <= self._pause_samples:
            return track.position
        start = reach - self._lead.length
        paused = start - track.position
        if self._collapse:
            track.collapsed += paused
        self._report.event("hold_ended", track=track.name, seconds=paused * SAMPLE)
        track.position = start
        track.crept += paused
        self._drift.restart(tuple(self._tracks.values()), forget=True)
        return start

    def _doubt(self, track: Place, start: int, data: bytes, lag: float) -> None:
        """Late by more than a pause: keep back, and see whether what follows makes up for it."""
        for other in self._tracks.values():
            other.until = float("-inf")
        self._doubtful.append((track, start, data))
        self._lags.append((track, start, lag))
        own = next(began for other, began, _ in self._lags if other is track)
        # A second packet of the same track at least: long ones cover `settle` alone, and show nothing alone.
        if lag <= self._pause or (start > own and track.position - own >= self._settle):
            self._decide()

    def _decide(self) -> None:
        doubtful, lags = self._doubtful, self._lags
        self._doubtful, self._lags = [], []
        firsts = {track.name: (start, lag) for track, start, lag in reversed(lags)}
        lasts = {track.name: (start, lag) for track, start, lag in lags}
        longest = max(firsts, key=lambda name: lasts[name][0] - firsts[name][0])
        (start, most), (end, least) = firsts[longest], lasts[longest]
        # A network that was stuck delivers much faster than speech.
        caught_up = end > start and most - least >= (end - start) * SAMPLE / 2
        paused = 0.0 if caught_up else min(lag for _, _, lag in lags)
        if paused <= self._pause:
            shifts = dict.fromkeys(self._tracks, 0)
        else:
            shifts = {name: round(self._paused(name, paused, lags) * RATE) for name in self._tracks}
            self._jump()
            self._report.event("hold_ended", track="", seconds=round(paused * RATE) * SAMPLE)
            self._drift.restart(tuple(self._tracks.values()), forget=len(set(shifts.values())) > 1)
        for name, shift in shifts.items():
            self._tracks[name].position += shift
            self._tracks[name].crept += shift
            self._tracks[name].collapsed += shift if self._collapse else 0
        for track, start, data in doubtful:
            self._place(track.name, start + shifts[track.name] - track.collapsed, data)

    def _paused(self, name: str, paused: float, lags: Sequence[tuple[Place, int, float]]) -> float:
        """How long one track paused when all did for ``paused`` seconds: as long, but for plain differences.

        Tracks that were level stay so, to the sample; one that had stopped much earlier gets its own place.
        """
        own = min((lag for track, _, lag in lags if track.name == name), default=paused)
        return own if own - paused > self._pause / 2 else paused
