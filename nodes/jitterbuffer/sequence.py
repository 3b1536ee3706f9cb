"""From sequence numbers to order: which packet comes next, which was lost, which came too late.

Sans-IO: numbers, lengths and arrival stamps go in, calls of an `Ordered` come out. Senders do not document what the
numbers count, so it is learnt from the first packets: one counter for each track, or one for all of them (a *space* is
one counter with its tracks), in steps of 1 or 2. A wrong first guess is corrected. Numbers that count anything else
(samples, milliseconds, nothing at all) are named and ignored: the order is then that of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

from flowcore import Packet, Report
from flowcore.audio import TELEPHONE_RATE as RATE

LEARNING_PACKETS = range(3, 7)
"""Packets of one track from which the scheme is learnt; the first packets of a call wait for it. Fewer than the start
never suffice, the end always does, and in between they do if they cover the window."""

MAX_LEARNING_SECONDS = 1.5
MAX_LEARNING_PACKETS = 100
"""Limits of learning, in seconds of arrivals and in packets, where losses could look like another scheme."""

CERTAIN_STEPS = 5
"""Number of equal steps of 3 or more that are a scheme and no losses, at any pace."""

CONSTANT_PACKETS = 4
"""Number of packets of one track with one number, at the pace of speech, that make the scheme constant."""

PROBATION_PACKETS = 12
"""Packets during which a shared counter is on probation: the same number on two tracks means two counters."""

MIN_PACKET_SECONDS = 0.01
"""Seconds in the shortest packets of telephony: shorter ones must not make a jump of numbers look short."""

MAX_REPEAT_DISTANCE = 50
"""Numbers back within which a repeat is more likely than a counter that started anew: one second of packets."""

EXPECTED_PACKETS = 2
"""Number of expected packets after which the strays between them are rejected."""


class Ordered(Protocol):
    """The consumer of the order."""

    def follow(self, packet: Packet) -> None:
        """The next packet."""

    def lost(self, held: Mapping[str, int]) -> None:
        """A packet that will not come. Its track is one of the keys of ``held``, which maps each track that shares the
        counter to the samples behind the packet that are here already, up to the next gap."""

    def too_early(self, packet: Packet, missing: int) -> bool:
        """Whether ``packet`` came too early for ``missing`` samples to have been spoken before it."""


class Space:
    """One counter and the tracks that share it."""

    __slots__ = ("calm", "first", "given_up", "held", "next", "owners", "since", "strays", "stride", "tracks")

    def __init__(self, tracks: Sequence[str], first: int, stride: int) -> None:
        self.tracks = list(tracks)
        self.next = first  # the number expected
        self.first = first
        self.stride = stride
        self.held: dict[int, Packet] = {}  # came before their turn
        self.given_up: set[int] = set()  # were replaced, and may still come
        self.strays: list[Packet] = []  # lie where no number is expected: repeats, or the start of another count
        self.since = 0  # packets that came where they were expected since the first stray
        self.owners: dict[int, str] | None = {} if len(tracks) > 1 else None  # number -> track, on probation only
        self.calm = False  # nothing held, no strays, no doubt: the next number can go straight on

    @property
    def highest(self) -> int:
        return max((self.next - self.stride, *self.held))


class Sequencer:
    """Puts the packets of one call in order and passes them on to ``ordered``.

    A missing packet is waited for until later ones cover ``window`` seconds of media or of arrival time (not at all
    when ``wait`` is False). A jump of more than ``jump`` seconds, or backwards, is no loss but a counter that started
    anew, once three packets in a row agree. Repeats and late packets are reported as dropped.
    """

    def __init__(self, ordered: Ordered, report: Report, *, window: float, wait: bool, jump: float) -> None:
        self._ordered = ordered
        self._follow = ordered.follow
        self._report = report
        self._window = window
        self._wait = wait
        self._jump = jump
        self._early: list[Packet] | None = []  # the first packets, until the scheme is known
        self._numbers: dict[str, dict[int, Packet]] = {}  # the first of them of each number, by track
        self._counts_packets = True
        self._spaces: dict[str, Space] = {}  # by track
        self.deadline = float("inf")  # arrival stamp after which something has waited long enough
        self._now = 0.0

    def push(self, packet: Packet) -> None:
        if packet.arrived > self.deadline:
            self._expire(packet.arrived)
        space = self._spaces.get(packet.track)
        if space is not None and space.calm and packet.seq == space.next:
            space.next += space.stride
            self._follow(packet)
            return
        self._now = max(self._now, packet.arrived)
        if not self._counts_packets:
            self._follow(packet)
        elif self._early is not None:
            self._learn(self._early, packet)
        else:
            self._sort(space or self._join(packet), packet)
            self._set_deadline()

    def space_of(self, track: str) -> Space | None:
        """The counter that ``track`` goes by now; None while it is still being learnt."""
        return self._spaces.get(track)

    def flush(self) -> None:
        """End the call: missing packets are lost."""
        if self._early:
            self._decide(self._early, certain=True)
        for space in self._distinct():
            self._reject(space)
            while space.held:
                self._give_up(space)
        self.deadline = float("inf")

    def _learn(self, early: list[Packet], packet: Packet) -> None:
        own = self._numbers.setdefault(packet.track, {})
        own.setdefault(packet.seq, packet)
        early.append(packet)
        mine = [one for one in early if one.track == packet.track]
        if len(own) in LEARNING_PACKETS:
            media = sum(len(one.data) for one in own.values()) / RATE
            enough = max(media, packet.arrived - early[0].arrived) > self._window
        else:
            enough = len(own) >= LEARNING_PACKETS.stop or (len(own) == 1 and len(mine) >= LEARNING_PACKETS.stop)
        if enough:
            long = packet.arrived - early[0].arrived > MAX_LEARNING_SECONDS or len(early) > MAX_LEARNING_PACKETS
            self._decide(early, certain=long)

    def _decide(self, early: list[Packet], *, certain: bool = False) -> None:
        """Settle what the numbers count, and take the packets that waited for it.

        Where losses may have made the numbers look like another scheme, this waits for more unless it is ``certain``.
        """
        numbers = {track: list(own) for track, own in self._numbers.items()}
        once = [one for one in early if self._numbers[one.track][one.seq] is one]
        scheme, sure = _unknown_scheme(early, once)
        if scheme and not (sure or certain):
            return
        self._early = None
        if scheme:
            self._counts_packets = False
            self._report.event("numbering_unknown", scheme=scheme, track="+".join(numbers))
            for packet in early:
                self._follow(packet)
            return
        for packet in early:
            if self._numbers[packet.track][packet.seq] is not packet:
                self._drop("duplicate", packet)
        early = once
        if len(numbers) > 1 and _one_counter(early, numbers):
            union = [packet.seq for packet in early]
            self._spaces = dict.fromkeys(numbers, Space(list(numbers), min(union), _stride([union])))
        else:
            stride = _stride(numbers.values())
            self._spaces = {track: Space([track], min(own), stride) for track, own in numbers.items()}
        # Each counter's packets in order, at the places where any of them arrived.
        by_number = sorted(early, key=lambda packet: packet.seq)
        queues = {
            id(space): iter([packet for packet in by_number if self._spaces[packet.track] is space])
            for space in self._distinct()
        }
        packets = [next(queues[id(self._spaces[packet.track])]) for packet in early]
        self._numbers.clear()
        for packet in packets:
            space = self._spaces[packet.track]
            if space.calm and packet.seq == space.next:
                space.next += space.stride
                self._follow(packet)
            else:
                self._sort(space, packet)
        self._set_deadline()

    def _join(self, packet: Packet) -> Space:
        """The space of a track that is heard for the first time."""
        spaces = self._distinct()
        ahead = packet.seq - spaces[0].highest
        if len(spaces) == 1 and 0 < ahead <= (2 if self._wait else 1):
            space = spaces[0]  # it goes on where the other track is: they seem to share one counter
            space.owners = dict.fromkeys((space.next - space.stride, *space.held), space.tracks[0])
            space.tracks.append(packet.track)
            space.calm = False
        else:
            space = Space([packet.track], packet.seq, spaces[0].stride)
        self._spaces[packet.track] = space
        return space

    def _sort(self, space: Space, packet: Packet) -> None:
        """Everything but the next number of a calm space."""
        number = packet.seq
        if space.owners is not None:
            if space.owners.get(number, packet.track) != packet.track:
                self._part(space)
                self._sort(self._spaces[packet.track], packet)
                return
            space.owners[number] = packet.track
            if len(space.owners) > PROBATION_PACKETS:
                space.owners = None
        last = space.next - space.stride
        if 0 < number - last <= MAX_REPEAT_DISTANCE and (number - last) % space.stride:
            space.stride, space.next = 1, last + 1  # it counts in smaller steps than it seemed
        ahead = (
            (number - space.next) / space.stride / len(space.tracks) * max(len(packet.data) / RATE, MIN_PACKET_SECONDS)
        )
        if number in space.held:
            self._drop("duplicate", packet)
        elif 0 <= ahead <= self._jump:
            space.held[number] = packet
            space.since += 1
            if space.strays and space.since >= EXPECTED_PACKETS:
                self._reject(space)
            self._release(space)
        elif number in space.given_up and not space.strays:  # with strays about, it may be one of them
            space.given_up.remove(number)
            self._drop("late", packet)
        else:
            self._stray(space, packet)
        space.calm = not space.held and not space.strays and space.owners is None

    def _release(self, space: Space) -> None:
        """Pass on packets in order; give up a missing one after ``window``."""
        while space.held:
            while (packet := space.held.pop(space.next, None)) is not None:
                space.next += space.stride
                self._follow(packet)
            media = sum(len(packet.data) for packet in space.held.values()) / len(space.tracks) / RATE
            if self._wait and media <= self._window and self._now <= self._waiting_since(space) + self._window:
                break
            if space.held:
                self._give_up(space)
        space.calm = not space.held and not space.strays and space.owners is None

    def _give_up(self, space: Space) -> None:
        """The packets missing before the first one held are lost: go on with that one."""
        first = min(space.held)
        held = dict.fromkeys(space.tracks, 0)
        number = first
        while (one := space.held.get(number)) is not None:
            held[one.track] += len(one.data)
            number += space.stride
        lost = range(space.next, first, space.stride)
        packet = space.held[first]
        if self._ordered.too_early(packet, len(lost) * len(packet.data) // len(space.tracks)):
            self._report.event("sequence_jumped", track="+".join(space.tracks), expected=space.next, got=first)
            lost = range(0)
        for _ in lost:
            self._ordered.lost(held)
        oldest = first - round(self._jump * 100 * space.stride)  # what comes even later than that is just a stray
        space.given_up = {number for number in space.given_up if number > oldest} | set(lost)
        space.next = first
        while (next_one := space.held.pop(space.next, None)) is not None:
            space.next += space.stride
            self._follow(next_one)

    def _stray(self, space: Space, packet: Packet) -> None:
        """A number where none is expected: once enough of them agree, the count has started anew."""
        strays = space.strays
        if any(packet.seq == other.seq for other in strays):
            self._drop("duplicate", packet)
            return
        if strays and abs(packet.seq - strays[-1].seq) > EXPECTED_PACKETS * 3 * space.stride * len(space.tracks):
            self._reject(space)
        if not space.strays:
            space.since = 0
        space.strays.append(packet)
        near = 0 < space.next - packet.seq <= MAX_REPEAT_DISTANCE * space.stride
        if len(space.strays) >= (10 if near else 3):
            self._restart(space)

    def _restart(self, space: Space) -> None:
        while space.held:
            self._give_up(space)
        strays, space.strays = space.strays, []
        first = min(packet.seq for packet in strays)
        self._report.event("sequence_restarted", track="+".join(space.tracks), expected=space.next, got=first)
        space.next = space.first = first
        space.given_up.clear()
        space.held = {packet.seq: packet for packet in strays}
        self._release(space)

    def _reject(self, space: Space) -> None:
        """The strays were no new count."""
        for packet in space.strays:
            if packet.seq < space.first:
                self._drop("late", packet)
            else:
                self._drop("duplicate" if packet.seq < space.next else "stray", packet)
        space.strays = []
        space.since = 0

    def _part(self, space: Space) -> None:
        """The tracks do not share a counter after all: go on with one for each."""
        owners = space.owners or {}
        space.calm = False  # `NextInLine` may still hold it
        self._reject(space)
        for track in space.tracks:
            done = [number for number, owner in owners.items() if owner == track and number < space.next]
            known = [number for number, packet in space.held.items() if packet.track == track]
            after = max(done) + space.stride if done else min(known, default=space.next)
            parted = self._spaces[track] = Space([track], after, space.stride)
            parted.first = space.first
            parted.held = {number: space.held[number] for number in known}
            self._release(parted)

    def _expire(self, now: float) -> None:
        """Give up the packets that have been missing for ``window`` at ``now``."""
        self._now = now
        for space in self._distinct():
            if space.held:
                self._release(space)
        self._set_deadline()

    def _set_deadline(self) -> None:
        since = [self._waiting_since(space) for space in self._spaces.values() if space.held]
        self.deadline = min(since) + self._window if since else float("inf")

    @staticmethod
    def _waiting_since(space: Space) -> float:
        return min((packet.arrived for packet in space.held.values()), default=float("inf"))

    def _distinct(self) -> list[Space]:
        return list({id(space): space for space in self._spaces.values()}.values())

    def _drop(self, reason: str, packet: Packet) -> None:
        self._report.dropped(reason, packet.seconds)


def _one_counter(early: Sequence[Packet], numbers: Mapping[str, list[int]]) -> bool:
    """Whether tracks share a counter: no number twice, and the tracks' numbers interleave or follow each other."""
    if len({packet.seq for packet in early}) < len(early):
        return False
    (_, high), *others = sorted((min(own), max(own)) for own in numbers.values())
    for other_low, other_high in others:
        if other_low > high:
            # A burst of one track, then one of the other, looks like this; two counters that lie apart by chance too,
            # but then the higher numbers do not wait for the lower ones to be over.
            order = [packet.seq <= high for packet in early]
            if other_low > high + 2 or order != sorted(order, reverse=True):
                return False
        high = max(high, other_high)
    return True


def _unknown_scheme(early: Sequence[Packet], once: Sequence[Packet]) -> tuple[str, bool]:
    """Return what the numbers count, in words, if not packets, and whether that is certain: losses may look like it.

    The text is empty when they count packets. ``once`` leaves repeats out.
    """
    for track in dict.fromkeys(packet.track for packet in early):
        mine = [packet for packet in early if packet.track == track]
        first = {packet.seq: packet for packet in reversed(mine)}
        changed = sum(packet.data != first[packet.seq].data for packet in mine)
        paced = len(mine) >= CONSTANT_PACKETS and 2 * (mine[-1].arrived - mine[0].arrived) >= _seconds(mine[:-1])
        if len(first) == 1 and len(mine) >= CONSTANT_PACKETS and (changed or paced):
            return "constant", True
        if changed > 1:
            return "repeating", True
        own = sorted((packet for packet in once if packet.track == track), key=lambda packet: packet.seq)
        steps = [(after.seq - before.seq, len(before.data)) for before, after in pairwise(own)]
        sure = len(steps) >= CERTAIN_STEPS or not _heard_less_than_sent(mine)
        if len(steps) < 2:
            continue
        if all(step == length > 2 for step, length in steps):
            return "samples", sure
        if all(step == length * 1000 // RATE > 2 for step, length in steps):
            return "milliseconds", sure
    union = sorted({packet.seq for packet in once})
    steps_of = min((after - before for before, after in pairwise(union)), default=1)
    regular = all((number - union[0]) % steps_of == 0 for number in union)
    if len(union) > 2 and steps_of > 2 and regular:
        return f"steps of {steps_of}", len(union) > CERTAIN_STEPS or not _heard_less_than_sent(once)
    return "", True


def _seconds(packets: Iterable[Packet]) -> float:
    return sum(len(packet.data) for packet in packets) / RATE


def _heard_less_than_sent(packets: Sequence[Packet]) -> bool:
    """Whether much less media came of one track than its time: then steps in the numbers are losses."""
    longest = max(_seconds(one for one in packets if one.track == track) for track in {one.track for one in packets})
    return packets[-1].arrived - packets[0].arrived > 1.5 * longest + 0.1


def _stride(counts: Iterable[Sequence[int]]) -> int:
    """2 if every step within each of the counts is at least that, and one is just that; else 1."""
    steps = [after - before for count in counts for before, after in pairwise(sorted(count))]
    return 2 if min(steps, default=1) == 2 else 1
