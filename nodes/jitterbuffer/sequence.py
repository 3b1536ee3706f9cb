"""From sequence numbers to order: the packets of a call, each by the counter of its track, or in the order of arrival.

Sans-IO: numbers, lengths and arrival stamps go in, calls of an `Ordered` come out. What the numbers count is learnt
from the first packets (`learning`, `numbering`), which gives each track a counter (`spaces`), whose packets are then
put in order (`sorter`). Numbers that do not count packets are named and ignored (`arrival_order`). Numbers that no
longer fit are learnt anew, from packets that wait meanwhile (`doubts`).
"""

from __future__ import annotations

from collections.abc import Sequence

from flowcore import Packet, Report
from nodes.jitterbuffer.arrival_order import ArrivalOrder
from nodes.jitterbuffer.doubts import Doubts
from nodes.jitterbuffer.learning import Learning
from nodes.jitterbuffer.numbering import Numbering, learn
from nodes.jitterbuffer.ordered import Ordered
from nodes.jitterbuffer.sorter import Sorter
from nodes.jitterbuffer.space import Space
from nodes.jitterbuffer.spaces import MAX_LOST_AT_JOIN, Parting, Spaces, find_parting


class Sequencer:
    """Puts the packets of one call in order and passes them on to ``ordered``.

    ``window`` and ``jump``, in seconds, and ``wait`` are those of `Sorter`.
    """

    def __init__(self, ordered: Ordered, report: Report, *, window: float, wait: bool, jump: float) -> None:
        self._follow = ordered.follow
        self._report = report
        self._window = window
        self._max_lost_at_join = MAX_LOST_AT_JOIN if wait else 1
        self._doubts = Doubts(report)
        self._sorter = Sorter(ordered, report, self._doubts, window=window, wait=wait, jump=jump)
        self._spaces = Spaces()
        self._learning: Learning | None = Learning(window)  # until it is known what the numbers count
        self._arrival_order: ArrivalOrder | None = None  # once they count no packets
        self.deadline = float("inf")  # arrival stamp after which something has waited long enough

    def push(self, packet: Packet) -> None:
        if packet.arrived > self.deadline:
            self._expire(packet.arrived)
        space = self._spaces.get(packet.track)
        if space is not None and space.calm and packet.seq == space.next:
            space.next += space.stride
            self._follow(packet)
            return
        self._sorter.now = max(self._sorter.now, packet.arrived)
        if self._arrival_order is not None:
            self._arrival_order.push(packet)
        elif self._learning is not None:
            if self._learning.add(packet):
                self._learn(self._learning, at_last=self._learning.long)
        else:
            self._sort(packet)
            if self._doubts.too_many:
                self._learn_anew(self._spaces[packet.track])
            else:
                self._set_deadline()

    def space_of(self, track: str) -> Space | None:
        """The counter that ``track`` goes by now; None while it is still being learnt."""
        return self._spaces.get(track)

    def flush(self) -> None:
        """End the call: missing packets are lost."""
        if self._learning is not None and self._learning.packets:
            self._learn(self._learning, at_last=True)
        for space in self._spaces.distinct():
            self._sorter.end(space)
        self._doubts.settle()
        self.deadline = float("inf")

    def _learn(self, learning: Learning, *, at_last: bool) -> None:
        """Settle what the numbers count, and take the packets that waited for it.

        Where losses may have made the numbers look like another scheme, this waits for more unless ``at_last``.
        """
        early, spaces = learning.packets, self._spaces
        numbering = learn(early, [one for one in early if one.track in spaces and spaces[one.track].has(one.seq)])
        if not (numbering.certain or at_last):
            return
        self._learning = None
        if numbering.unknown:
            self._ignore_numbers(numbering, learning)
        elif learning.doubted:
            self._go_on(early)
        else:
            self._begin(numbering, learning)

    def _ignore_numbers(self, numbering: Numbering, learning: Learning) -> None:
        """Go on in the order of arrival, with all that waits."""
        self._report.event("numbering_unknown", scheme=numbering.unknown, track="+".join(learning.numbers))
        waiting = self._doubts.take()
        for space in self._spaces.distinct():
            waiting += [*space.held.values(), *space.strays]
        self._spaces.clear()
        self._arrival_order = ArrivalOrder(self._follow, self._report, unique=numbering.unique)
        for packet in (*sorted(waiting, key=lambda packet: packet.arrived), *learning.packets):
            self._arrival_order.push(packet)

    def _learn_anew(self, doubted: Space) -> None:
        """Keep packets back until they show whether the numbers still count packets."""
        self._learning = Learning(self._window, doubted.tracks)
        for space in self._spaces.distinct():
            space.calm = False
        self.deadline = float("inf")

    def _go_on(self, early: Sequence[Packet]) -> None:
        """The numbers do count packets: go on as before."""
        for packet in early:
            self._sorter.now = packet.arrived  # what it follows may have waited for it
            self._sort(packet)
        self._doubts.believe()
        self._set_deadline()

    def _begin(self, numbering: Numbering, learning: Learning) -> None:
        """Make the spaces, and take the packets that waited for them."""
        once, repeats = learning.split_repeats()
        for packet in repeats:
            self._report.dropped("duplicate", packet.seconds)
        self._spaces.begin(numbering, learning.numbers)
        # Each counter's packets in order, at the places where any of them arrived.
        by_number = sorted(once, key=lambda packet: packet.seq)
        queues = {
            id(space): iter([packet for packet in by_number if self._spaces[packet.track] is space])
            for space in self._spaces.distinct()
        }
        for packet in [next(queues[id(self._spaces[packet.track])]) for packet in once]:
            space = self._spaces[packet.track]
            if space.calm and packet.seq == space.next:
                space.next += space.stride
                self._follow(packet)
            else:
                self._sort(packet)
        self._set_deadline()

    def _sort(self, packet: Packet) -> None:
        """Everything but the next number of a calm space."""
        space = self._spaces.get(packet.track) or self._spaces.join(packet, self._max_lost_at_join)
        if parting := find_parting(space, packet):
            self._part(space, parting)
            self._sort(packet)
        elif self._sorter.hold(space, packet):
            if packet.seq != space.next and (other := self._spaces.sharer(space, packet.seq)):
                self._unite(space, other)
            else:
                self._sorter.go_on(space)

    def _part(self, space: Space, parting: Parting) -> None:
        """The tracks do not share a counter after all: go on with one for each."""
        self._sorter.reject(space)
        for parted in self._spaces.part(space, parting):
            self._sorter.release(parted)

    def _unite(self, space: Space, other: Space) -> None:
        """The tracks share a counter after all."""
        for one in (space, other):
            self._sorter.reject(one)
        self._sorter.release(self._spaces.unite(space, other))

    def _expire(self, now: float) -> None:
        """Give up the packets that have been missing for ``window`` at ``now``, and old doubts."""
        self._sorter.now = now
        self._doubts.expire(now)
        for space in self._spaces.distinct():
            if space.held:
                self._sorter.release(space)
        self._set_deadline()

    def _set_deadline(self) -> None:
        since = min((space.waiting_since for space in self._spaces.values()), default=float("inf"))
        self.deadline = min(since + self._window, self._doubts.deadline)
