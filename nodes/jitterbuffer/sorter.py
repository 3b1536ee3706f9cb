"""The order of one counter: which packet is next, which was lost, came too late or twice, or begins another count."""

from __future__ import annotations

from flowcore import Packet, Report
from flowcore.audio import TELEPHONE_RATE as RATE
from nodes.jitterbuffer.doubts import DESCENT_WEIGHT, RESTART_WEIGHT, Doubts
from nodes.jitterbuffer.ordered import Ordered
from nodes.jitterbuffer.space import Space

MIN_PACKET_SECONDS = 0.01
"""Seconds in the shortest packets of telephony: shorter ones must not make a jump of numbers look short."""

MAX_REPEAT_DISTANCE = 50
"""Numbers back within which a repeat is more likely than a counter that started anew: one second of packets."""

EXPECTED_PACKETS = 2
"""Number of expected packets after which the strays between them are rejected."""


class Sorter:
    """Puts the packets of each `Space` in order and passes them on to ``ordered``. ``now`` is the latest arrival stamp.

    A missing packet is waited for until later ones cover ``window`` seconds of media or of arrival time (not at all
    when ``wait`` is False). A jump of more than ``jump`` seconds, or backwards, is no loss but a counter that started
    anew, once three packets in a row agree. Repeats and late packets are reported as dropped.
    """

    def __init__(
        self, ordered: Ordered, report: Report, doubts: Doubts, *, window: float, wait: bool, jump: float
    ) -> None:
        self._ordered = ordered
        self._report = report
        self._doubts = doubts
        self._window = window
        self._wait = wait
        self._jump = jump
        self.now = 0.0

    def hold(self, space: Space, packet: Packet) -> bool:
        """Hold a packet for `release` where its number is expected; otherwise it is a stray, a repeat or late."""
        number = packet.seq
        last = space.next - space.stride
        if 0 < number - last <= MAX_REPEAT_DISTANCE and (number - last) % space.stride:
            space.stride, space.next = 1, last + 1  # it counts in smaller steps than it seemed
        shortest = min(len(one.data) for one in (packet, *space.latest.values())) / RATE
        ahead = (number - space.next) / space.stride / len(space.tracks) * max(shortest, MIN_PACKET_SECONDS)
        if number in space.held:
            self._drop_repeat(space, space.held[number], packet)
        elif 0 <= ahead <= self._jump:
            space.held[number] = packet
            return True
        elif number in space.given_up and not space.strays:  # with strays about, it may be one of them
            space.given_up.remove(number)
            self._doubt(space, "late", packet)
        else:
            self._stray(space, packet)
        space.calm_down()
        return False

    def go_on(self, space: Space) -> None:
        """Release what is held after a packet that came where it was expected."""
        space.since += 1
        if space.strays and space.since >= EXPECTED_PACKETS:
            self.reject(space)
        self.release(space)

    def release(self, space: Space) -> None:
        """Pass on packets in order; give up a missing one after ``window``."""
        while space.held:
            self._follow_held(space)
            waits = self._wait and space.media_behind() < self._window
            if waits and self.now <= space.waiting_since + self._window:
                break
            if space.held:
                self._give_up(space)
        space.calm_down()

    def end(self, space: Space) -> None:
        """Give up all that is missing, and the strays."""
        self.reject(space)
        self._give_up_all(space)

    def reject(self, space: Space) -> None:
        """The strays were no new count."""
        for packet in space.strays:
            if packet.seq < space.first:
                self._doubt(space, "late", packet)
            else:
                self._doubt(space, "duplicate" if packet.seq < space.next else "stray", packet)
        space.strays = []
        space.since = 0

    def _follow_held(self, space: Space) -> None:
        while (packet := space.held.pop(space.next, None)) is not None:
            space.next += space.stride
            self._ordered.follow(packet)

    def _give_up_all(self, space: Space) -> None:
        while space.held:
            self._give_up(space)

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
        self._follow_held(space)

    def _stray(self, space: Space, packet: Packet) -> None:
        """A number where none is expected: once enough of them agree, the count has started anew."""
        strays = space.strays
        for other in strays:
            if packet.seq == other.seq:
                self._drop_repeat(space, other, packet)
                return
        if strays and abs(packet.seq - strays[-1].seq) > EXPECTED_PACKETS * 3 * space.stride * len(space.tracks):
            self.reject(space)
        if not space.strays:
            space.since = 0
        space.strays.append(packet)
        near = 0 < space.next - packet.seq <= MAX_REPEAT_DISTANCE * space.stride
        if len(space.strays) >= (10 if near else 3):
            self._restart(space)

    def _restart(self, space: Space) -> None:
        self._give_up_all(space)
        strays, space.strays = space.strays, []
        first = min(packet.seq for packet in strays)
        if first != space.restarted:
            self._report.event("sequence_restarted", track="+".join(space.tracks), expected=space.next, got=first)
        space.restarted = first
        self._doubts.add(space, RESTART_WEIGHT if strays[0].seq < strays[-1].seq else DESCENT_WEIGHT)
        space.next = space.first = space.parted = first
        space.given_up.clear()
        space.held = {packet.seq: packet for packet in strays}
        self.release(space)
        space.trusted = space.next

    def _drop_repeat(self, space: Space, first: Packet, packet: Packet) -> None:
        """Drop a packet with the number of one that waits; one with other audio is no repeat, and a doubt."""
        if packet.data == first.data:
            self._report.dropped("duplicate", packet.seconds)
        else:
            self._doubt(space, "duplicate", packet)

    def _doubt(self, space: Space, reason: str, packet: Packet) -> None:
        """Drop a packet whose number does not fit, once the numbers are not in doubt."""
        self._doubts.keep(reason, packet)
        self._doubts.add(space)
