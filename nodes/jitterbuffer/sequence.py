"""From sequence numbers to order: which packet comes next, which was lost, which came too late.

Sans-IO: numbers, lengths and arrival stamps go in, calls of an `Ordered` come out. What the numbers count is learnt
from the first packets (`numbering`): a *space* is one counter with its tracks. A wrong first guess is corrected.
Numbers that do not count packets are named and ignored: the order is then that of arrival. Numbers that no longer fit
are learnt anew, from packets that wait meanwhile (`doubts`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from math import gcd
from typing import Protocol

from flowcore import Packet, Report
from flowcore.audio import TELEPHONE_RATE as RATE
from nodes.jitterbuffer.doubts import DESCENT_WEIGHT, RESTART_WEIGHT, Doubts
from nodes.jitterbuffer.numbering import MAX_STRIDE, Numbering, learn

LEARNING_PACKETS = range(3, 7)
"""Packets of one track from which the scheme is learnt; the first packets of a call wait for it. Fewer than the start
never suffice, the end always does, and in between they do if they cover the window."""

RELEARNING_PACKETS = 12
"""Packets of one track from which the scheme is learnt anew: as many as make a restart of the count a small part."""

MAX_LEARNING_SECONDS = 1.5
MAX_RELEARNING_SECONDS = 0.7
MAX_LEARNING_PACKETS = 200
"""Limits of learning, in seconds of arrivals and in packets, where losses could look like another scheme. It is shorter
where the scheme is learnt anew: the doubts took their time, too."""

PROBATION_PACKETS = 12
"""Packets during which a shared counter is on probation: the same number on two tracks means two counters."""

MAX_LOST_AT_JOIN = 10
"""Numbers by which a track that joins may be ahead of the others and still seem to share their counter."""

MIN_PACKET_SECONDS = 0.01
"""Seconds in the shortest packets of telephony: shorter ones must not make a jump of numbers look short."""

MAX_REPEAT_DISTANCE = 50
"""Numbers back within which a repeat is more likely than a counter that started anew: one second of packets."""

PUNCTUAL_TOLERANCE = 0.01
"""Seconds by which a punctual packet may come later than one packet's length after the one before it."""

ALTERNATE_PACKETS = 6
"""Packets of one track in a row, each with every other number, that show that the other track counts for itself: it is
less likely to have lost as many packets alone."""

EXPECTED_PACKETS = 2
"""Number of expected packets after which the strays between them are rejected."""


Held = Mapping[str, Sequence[Packet]]
"""The packets behind a gap in the numbers that are here already, up to the next gap, by each track of the counter."""


class Ordered(Protocol):
    """The consumer of the order."""

    def follow(self, packet: Packet) -> None:
        """The next packet."""

    def lost(self, held: Held, count: int) -> None:
        """So many packets will not come. Their tracks are among the keys of ``held``."""

    def too_early(self, held: Held, count: int) -> bool:
        """Whether ``held`` came too early for so many packets to have been spoken before it."""

    def jumped(self, held: Held, count: int) -> bool:
        """The same, beyond any jitter."""


class Space:
    """One counter and the tracks that share it."""

    __slots__ = (
        "alternate",
        "calm",
        "expected",
        "first",
        "given_up",
        "held",
        "last",
        "latest",
        "next",
        "owners",
        "parted",
        "probation",
        "restarted",
        "since",
        "strays",
        "stride",
        "tracks",
        "trusted",
    )

    def __init__(self, tracks: Sequence[str], first: int, stride: int) -> None:
        self.tracks = list(tracks)
        self.next = self.trusted = first  # the number expected, now and when the latest doubt arose
        self.first = self.parted = first  # of the call, and since the tracks have this counter
        self.stride = stride
        self.held: dict[int, Packet] = {}  # came before their turn
        self.given_up: set[int] = set()  # were replaced, and may still come
        self.strays: list[Packet] = []  # lie where no number is expected: repeats, or the start of another count
        self.since = 0  # packets that came where they were expected since the first stray
        self.owners: dict[int, str] | None = {} if len(tracks) > 1 else None  # number -> track, on probation only
        self.probation = PROBATION_PACKETS
        self.latest: dict[str, Packet] = {}  # of each track, while not calm
        self.last: Packet | None = None  # of all tracks, while not calm
        self.alternate = 0  # packets of one track in a row that have every other number
        self.restarted: int | None = None  # where the count latest started anew: one that wraps does so every time
        self.expected = first  # the number that was expected before them
        self.calm = False  # nothing held, no strays, no doubt: the next number can go straight on

    @property
    def highest(self) -> int:
        return max((self.next - self.stride, *self.held))

    def has(self, number: int) -> bool:
        """Whether a packet with this number came."""
        passed = self.parted <= number < self.next and (number - self.parted) % self.stride == 0
        return number in self.held or (passed and number not in self.given_up)


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
        self._unique = True  # numbers that do not count packets at least tell repeats
        self._doubts = Doubts(report)
        self._doubted: Sequence[str] = ()  # tracks whose numbers are learnt anew
        self._latest: defaultdict[str, deque[Packet]] = defaultdict(lambda: deque(maxlen=MAX_REPEAT_DISTANCE))
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
            self._pass_on(packet)
        elif self._early is not None:
            self._learn(self._early, packet)
        else:
            self._sort(space or self._join(packet), packet)
            if self._doubts.too_many:
                self._learn_anew(self._spaces[packet.track])
            else:
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
        self._doubts.settle()
        self.deadline = float("inf")

    def _learn(self, early: list[Packet], packet: Packet) -> None:
        own = self._numbers.setdefault(packet.track, {})
        own.setdefault(packet.seq, packet)
        early.append(packet)
        mine = [one for one in early if one.track == packet.track]
        if self._doubted:
            enough = packet.track in self._doubted and len(mine) >= RELEARNING_PACKETS
        elif len(own) in LEARNING_PACKETS:
            media = sum(len(one.data) for one in own.values()) / RATE
            enough = max(media, packet.arrived - early[0].arrived) > self._window
        else:
            few = len(own) < LEARNING_PACKETS.start and len(mine) >= LEARNING_PACKETS.stop
            enough = few or len(own) >= LEARNING_PACKETS.stop
        limit = MAX_RELEARNING_SECONDS if self._doubted else MAX_LEARNING_SECONDS
        long = packet.arrived - early[0].arrived > limit or len(early) > MAX_LEARNING_PACKETS
        if enough or (long and self._doubted):
            self._decide(early, certain=long)

    def _decide(self, early: list[Packet], *, certain: bool = False) -> None:
        """Settle what the numbers count, and take the packets that waited for it.

        Where losses may have made the numbers look like another scheme, this waits for more unless it is ``certain``.
        """
        spaces = self._spaces
        numbering = learn(early, [one for one in early if one.track in spaces and spaces[one.track].has(one.seq)])
        if not (numbering.certain or certain):
            return
        self._early = None
        if numbering.unknown:
            self._ignore_numbers(numbering, early)
        elif self._doubted:
            self._go_on(early)
        else:
            self._begin(numbering, early)

    def _ignore_numbers(self, numbering: Numbering, early: Sequence[Packet]) -> None:
        """Go on in the order of arrival, with all that waits."""
        self._counts_packets = False
        self._unique = numbering.unique
        self._report.event("numbering_unknown", scheme=numbering.unknown, track="+".join(self._numbers))
        waiting = self._doubts.take()
        for space in self._distinct():
            waiting += [*space.held.values(), *space.strays]
        self._spaces.clear()
        for packet in (*sorted(waiting, key=lambda packet: packet.arrived), *early):
            self._pass_on(packet)

    def _learn_anew(self, doubted: Space) -> None:
        """Keep packets back until they show whether the numbers still count packets."""
        self._early = []
        self._numbers.clear()
        self._doubted = doubted.tracks
        for space in self._distinct():
            space.calm = False
        self.deadline = float("inf")

    def _go_on(self, early: Sequence[Packet]) -> None:
        """The numbers do count packets: go on as before."""
        self._doubted = ()
        for packet in early:
            self._now = packet.arrived  # what it follows may have waited for it
            self._sort(self._spaces.get(packet.track) or self._join(packet), packet)
        self._doubts.believe()
        self._set_deadline()

    def _begin(self, numbering: Numbering, early: Sequence[Packet]) -> None:
        """Make the spaces, and take the packets that waited for them."""
        numbers = {track: list(own) for track, own in self._numbers.items()}
        once = [one for one in early if self._numbers[one.track][one.seq] is one]
        for packet in early:
            if self._numbers[packet.track][packet.seq] is not packet:
                self._drop("duplicate", packet)
        early = once
        if numbering.shared:
            space = Space(list(numbers), min(packet.seq for packet in early), numbering.stride)
            self._spaces = dict.fromkeys(numbers, space)
        else:
            self._spaces = {track: Space([track], min(own), numbering.stride) for track, own in numbers.items()}
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

    def _pass_on(self, packet: Packet) -> None:
        """Take a packet in the order of arrival, but not twice."""
        if self._unique:
            latest = self._latest[packet.track]
            if any(packet.seq == one.seq and packet.data == one.data for one in latest):
                self._drop("duplicate", packet)
                return
            latest.append(packet)
        self._follow(packet)

    def _join(self, packet: Packet) -> Space:
        """The space of a track that is heard for the first time."""
        spaces = self._distinct()
        ahead = packet.seq - spaces[0].highest
        if len(spaces) == 1 and 0 < ahead <= (MAX_LOST_AT_JOIN if self._wait else 1):
            space = spaces[0]  # it goes on where the other track is: they seem to share one counter
            space.probation = PROBATION_PACKETS + 2 * ahead
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
                self._part(space, space.stride, {})
                self._sort(self._spaces[packet.track], packet)
                return
            space.owners[number] = packet.track
            if len(space.owners) > space.probation:
                space.owners = None
        if len(space.tracks) > 1 and self._counts_apart(space, packet):
            self._sort(self._spaces[packet.track], packet)
            return
        last = space.next - space.stride
        if 0 < number - last <= MAX_REPEAT_DISTANCE and (number - last) % space.stride:
            space.stride, space.next = 1, last + 1  # it counts in smaller steps than it seemed
        shortest = min(len(one.data) for one in (packet, *space.latest.values())) / RATE
        ahead = (number - space.next) / space.stride / len(space.tracks) * max(shortest, MIN_PACKET_SECONDS)
        if number in space.held:
            self._drop_repeat(space, space.held[number], packet)
        elif 0 <= ahead <= self._jump:
            space.held[number] = packet
            if number != space.next and (other := self._sharer(space, number)):
                self._unite(space, other)
                return
            space.since += 1
            if space.strays and space.since >= EXPECTED_PACKETS:
                self._reject(space)
            self._release(space)
        elif number in space.given_up and not space.strays:  # with strays about, it may be one of them
            space.given_up.remove(number)
            self._doubt(space, "late", packet)
        else:
            self._stray(space, packet)
        space.calm = not space.held and not space.strays and space.owners is None

    def _release(self, space: Space) -> None:
        """Pass on packets in order; give up a missing one after ``window``."""
        while space.held:
            while (packet := space.held.pop(space.next, None)) is not None:
                space.next += space.stride
                self._follow(packet)
            if self._wait and _media_behind(space) < self._window and not self._waited_long(space):
                break
            if space.held:
                self._give_up(space)
        space.calm = not space.held and not space.strays and space.owners is None

    def _give_up(self, space: Space) -> None:
        """The packets missing before the first one held are lost: go on with that one."""
        first = min(space.held)
        held: dict[str, list[Packet]] = {track: [] for track in space.tracks}
        number = first
        while (one := space.held.get(number)) is not None:
            held[one.track].append(one)
            number += space.stride
        lost = range(space.next, first, space.stride)
        if lost and self._ordered.too_early(held, len(lost)):
            space.trusted += len(lost) * space.stride  # no packets that came
            self._doubts.add(space)
        if self._ordered.jumped(held, len(lost)):
            self._report.event("sequence_jumped", track="+".join(space.tracks), expected=space.next, got=first)
            lost = range(0)
        if lost:
            self._ordered.lost(held, len(lost))
        oldest = first - round(self._jump * 100 * space.stride)  # what comes even later than that is just a stray
        space.given_up = {number for number in space.given_up if number > oldest} | set(lost)
        space.next = first
        while (next_one := space.held.pop(space.next, None)) is not None:
            space.next += space.stride
            self._follow(next_one)

    def _stray(self, space: Space, packet: Packet) -> None:
        """A number where none is expected: once enough of them agree, the count has started anew."""
        strays = space.strays
        for other in strays:
            if packet.seq == other.seq:
                self._drop_repeat(space, other, packet)
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
        if first != space.restarted:
            self._report.event("sequence_restarted", track="+".join(space.tracks), expected=space.next, got=first)
        space.restarted = first
        self._doubts.add(space, RESTART_WEIGHT if strays[0].seq < strays[-1].seq else DESCENT_WEIGHT)
        space.next = space.first = space.parted = first
        space.given_up.clear()
        space.held = {packet.seq: packet for packet in strays}
        self._release(space)
        space.trusted = space.next

    def _reject(self, space: Space) -> None:
        """The strays were no new count."""
        for packet in space.strays:
            if packet.seq < space.first:
                self._doubt(space, "late", packet)
            else:
                self._doubt(space, "duplicate" if packet.seq < space.next else "stray", packet)
        space.strays = []
        space.since = 0

    def _counts_apart(self, space: Space, packet: Packet) -> bool:
        """Part tracks that do not share a counter, which one of them shows once the other one stalls or pauses."""
        number = packet.seq
        last, space.last = space.last, packet
        before, space.latest[packet.track] = space.latest.get(packet.track), packet
        if number in space.given_up and before is not None and _is_next(before, packet):
            self._part(space, number - before.seq, {packet.track: number})  # its number was given up, yet it is in time
            return True
        if last is None or last.track != packet.track or number - last.seq != 2 * space.stride:
            space.alternate, space.expected = 0, space.next
        else:
            space.alternate += 1
        if space.alternate < ALTERNATE_PACKETS or 2 * space.stride > MAX_STRIDE or len(space.tracks) > 2:
            return False
        [other] = [track for track in space.tracks if track != packet.track]
        self._part(space, 2 * space.stride, {other: space.expected})
        return True

    def _part(self, space: Space, stride: int, starts: Mapping[str, int]) -> None:
        """The tracks do not share a counter after all: go on with one for each. ``starts`` has the next of some."""
        owners = (space.owners or {}) | {packet.seq: track for track, packet in space.latest.items()}
        space.calm = False  # `NextInLine` may still hold it
        self._reject(space)
        for track in space.tracks:
            done = [number for number, owner in owners.items() if owner == track and number < space.next]
            known = [number for number, packet in space.held.items() if packet.track == track]
            after = max(done) + stride if done else min(known, default=space.next)
            parted = self._spaces[track] = Space([track], starts.get(track, after), stride)
            parted.first = space.first
            parted.held = {number: space.held[number] for number in known}
            self._release(parted)

    def _sharer(self, space: Space, number: int) -> Space | None:
        """The space of another track that has numbers which are missing before this one, and none that are here."""
        missing = range(space.next, number, space.stride)
        lately = {*range(space.next - PROBATION_PACKETS, number + 1), *space.held}
        for other in self._distinct():
            shares = other is not space and any(map(other.has, missing))
            if shares and not any(space.has(one) and other.has(one) for one in lately):
                return other
        return None

    def _unite(self, space: Space, other: Space) -> None:
        """The tracks share a counter after all."""
        for one in (space, other):
            one.calm = False  # `NextInLine` may still hold it
            self._reject(one)
        stride = gcd(space.stride, other.stride, space.next - other.next)
        united = Space([*space.tracks, *other.tracks], min((space.next, *other.held)), stride)
        united.first = min(space.first, other.first)
        united.held = space.held | other.held
        united.given_up = space.given_up | other.given_up
        while united.next not in united.held and (space.has(united.next) or other.has(united.next)):
            united.next += stride
        for track in united.tracks:
            self._spaces[track] = united
        self._release(united)

    def _expire(self, now: float) -> None:
        """Give up the packets that have been missing for ``window`` at ``now``, and old doubts."""
        self._now = now
        self._doubts.expire(now)
        for space in self._distinct():
            if space.held:
                self._release(space)
        self._set_deadline()

    def _set_deadline(self) -> None:
        since = [self._waiting_since(space) for space in self._spaces.values() if space.held]
        self.deadline = min(min(since) + self._window if since else float("inf"), self._doubts.deadline)

    def _waited_long(self, space: Space) -> bool:
        return self._now > self._waiting_since(space) + self._window

    @staticmethod
    def _waiting_since(space: Space) -> float:
        return min((packet.arrived for packet in space.held.values()), default=float("inf"))

    def _distinct(self) -> list[Space]:
        return list({id(space): space for space in self._spaces.values()}.values())

    def _drop_repeat(self, space: Space, first: Packet, packet: Packet) -> None:
        """Drop a packet with the number of one that waits; one with other audio is no repeat, and a doubt."""
        if packet.data == first.data:
            self._drop("duplicate", packet)
        else:
            self._doubt(space, "duplicate", packet)

    def _doubt(self, space: Space, reason: str, packet: Packet) -> None:
        """Drop a packet whose number does not fit, once the numbers are not in doubt."""
        self._doubts.keep(reason, packet)
        self._doubts.add(space)

    def _drop(self, reason: str, packet: Packet) -> None:
        self._report.dropped(reason, packet.seconds)


def _media_behind(space: Space) -> float:
    """Seconds of one track that are held, but for its first packet: however long, one may have been overtaken."""
    media = dict.fromkeys(space.tracks, 0)
    first: dict[str, int] = {}
    for number in sorted(space.held):
        packet = space.held[number]
        if first.setdefault(packet.track, number) != number:
            media[packet.track] += len(packet.data)
    return max(media.values()) / RATE


def _is_next(before: Packet, packet: Packet) -> bool:
    """Whether one packet of a track follows another in number and in time, as on a counter of its own."""
    seconds, passed = packet.seconds, packet.arrived - before.arrived
    return 0 < packet.seq - before.seq <= MAX_STRIDE and seconds / 2 <= passed <= seconds + PUNCTUAL_TOLERANCE
