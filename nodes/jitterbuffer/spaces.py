"""Spaces: which tracks of a call share a counter, and how a wrong guess shows and is mended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import gcd
from typing import NamedTuple

from flowcore import Packet
from nodes.jitterbuffer.numbering import MAX_STRIDE, Numbering
from nodes.jitterbuffer.space import PROBATION_PACKETS, Space

MAX_LOST_AT_JOIN = 10
"""Numbers by which a track that joins may be ahead of the others and still seem to share their counter."""

PUNCTUAL_TOLERANCE = 0.01
"""Seconds by which a punctual packet may come later than one packet's length after the one before it."""

ALTERNATE_PACKETS = 6
"""Packets of one track in a row, each with every other number, that show that the other track counts for itself: it is
less likely to have lost as many packets alone."""


class Parting(NamedTuple):
    """Tracks that do not share a counter after all: the ``stride`` of each, and the next number of some of them."""

    stride: int
    starts: Mapping[str, int]


class Spaces(dict[str, Space]):
    """The counter of each track."""

    def distinct(self) -> list[Space]:
        return list({id(space): space for space in self.values()}.values())

    def begin(self, numbering: Numbering, numbers: Mapping[str, Iterable[int]]) -> None:
        """Make the counters of the tracks from their first ``numbers``."""
        if numbering.shared:
            first = min(min(own) for own in numbers.values())
            self.update(dict.fromkeys(numbers, Space(list(numbers), first, numbering.stride)))
        else:
            self.update({track: Space([track], min(own), numbering.stride) for track, own in numbers.items()})

    def join(self, packet: Packet, max_lost: int) -> Space:
        """Add a track that is heard for the first time: to the other one's counter, if it goes on where that is.

        At most ``max_lost`` numbers may be missing in between.
        """
        spaces = self.distinct()
        ahead = packet.seq - spaces[0].highest
        if len(spaces) == 1 and 0 < ahead <= max_lost:
            space = spaces[0]
            space.probation = PROBATION_PACKETS + 2 * ahead
            space.owners = dict.fromkeys((space.next - space.stride, *space.held), space.tracks[0])
            space.tracks.append(packet.track)
            space.calm = False
        else:
            space = Space([packet.track], packet.seq, spaces[0].stride)
        self[packet.track] = space
        return space

    def sharer(self, space: Space, number: int) -> Space | None:
        """The space of another track that has numbers which are missing before this one, and none that are here."""
        missing = range(space.next, number, space.stride)
        lately = {*range(space.next - PROBATION_PACKETS, number + 1), *space.held}
        for other in self.distinct():
            shares = other is not space and any(map(other.has, missing))
            if shares and not any(space.has(one) and other.has(one) for one in lately):
                return other
        return None

    def unite(self, space: Space, other: Space) -> Space:
        """Give the tracks of two counters one."""
        for one in (space, other):
            one.calm = False  # `NextInLine` may still hold it
        stride = gcd(space.stride, other.stride, space.next - other.next)
        united = Space([*space.tracks, *other.tracks], min((space.next, *other.held)), stride)
        united.first = min(space.first, other.first)
        united.held = space.held | other.held
        united.given_up = space.given_up | other.given_up
        while united.next not in united.held and (space.has(united.next) or other.has(united.next)):
            united.next += stride
        for track in united.tracks:
            self[track] = united
        return united

    def part(self, space: Space, parting: Parting) -> Sequence[Space]:
        """Give each track of a counter one of its own."""
        owners = (space.owners or {}) | {packet.seq: track for track, packet in space.latest.items()}
        space.calm = False  # `NextInLine` may still hold it
        for track in space.tracks:
            done = [number for number, owner in owners.items() if owner == track and number < space.next]
            known = [number for number, packet in space.held.items() if packet.track == track]
            after = max(done) + parting.stride if done else min(known, default=space.next)
            parted = self[track] = Space([track], parting.starts.get(track, after), parting.stride)
            parted.first = space.first
            parted.held = {number: space.held[number] for number in known}
        return [self[track] for track in space.tracks]


def find_parting(space: Space, packet: Packet) -> Parting | None:
    """Whether a packet shows that the tracks of its counter do not share it."""
    if space.owners is not None:
        if space.owners.get(packet.seq, packet.track) != packet.track:
            return Parting(space.stride, {})
        space.owners[packet.seq] = packet.track
        if len(space.owners) > space.probation:
            space.owners = None
    return _counts_alone(space, packet) if len(space.tracks) > 1 else None


def _counts_alone(space: Space, packet: Packet) -> Parting | None:
    """Whether a track counts for itself, which one of them shows once the other one stalls or pauses."""
    number = packet.seq
    last, space.last = space.last, packet
    before, space.latest[packet.track] = space.latest.get(packet.track), packet
    if number in space.given_up and before is not None and _is_next(before, packet):
        return Parting(number - before.seq, {packet.track: number})  # its number was given up, yet it is in time
    if last is None or last.track != packet.track or number - last.seq != 2 * space.stride:
        space.alternate, space.expected = 0, space.next
    else:
        space.alternate += 1
    if space.alternate < ALTERNATE_PACKETS or 2 * space.stride > MAX_STRIDE or len(space.tracks) > 2:
        return None
    [other] = [track for track in space.tracks if track != packet.track]
    return Parting(2 * space.stride, {other: space.expected})


def _is_next(before: Packet, packet: Packet) -> bool:
    """Whether one packet of a track follows another in number and in time, as on a counter of its own."""
    seconds, passed = packet.seconds, packet.arrived - before.arrived
    return 0 < packet.seq - before.seq <= MAX_STRIDE and seconds / 2 <= passed <= seconds + PUNCTUAL_TOLERANCE
