"""Participants of a gRPC dialog as tracks: each has numbers of its own, and those of one side are mixed.

Sans-IO. Over gRPC nothing overtakes anything, so that numbers only tell what was lost or repeated before.
"""

from __future__ import annotations

from flowcore import Packet
from nodes.audio.codecs import ToMulaw, mixed

RATE = 8000
"""Samples, and bytes of mu-law, per second."""

PATIENCE = 0.5
"""Seconds without audio of the one who leads a side, after which another of that side does."""

WAITING = round(PATIENCE * RATE) + 3200
"""Bytes of another participant's audio that wait to be mixed: what comes in that time, and a few chunks more."""

APART = 1 << 40
"""Between the numbers of two tracks, which therefore never look like one counter."""


class Segment:
    """One participant's stretch of a dialog."""

    def __init__(self, side: Side, to_mulaw: ToMulaw) -> None:
        self.side = side
        self.to_mulaw = to_mulaw
        self.stopped = False
        """Its stop was announced; media may follow all the same."""
        self.heard = float("-inf")
        self.base = 0  # number of its first chunk on its side
        self.furthest = -1  # place of the latest chunk that waited
        self.waiting = bytearray()
        self._last: int | None = None  # number that came last
        self._payload = b""
        self._place = 0  # which chunk of the segment that was
        self._step = 0  # of the numbers, from one chunk to the next
        self._repeats = 0  # chunks in a row that were taken for repeats
        self._still = False  # the number stood still for other audio: it counts something else, or nothing

    def place(self, seq: int, payload: bytes) -> int:
        """Which chunk of the segment this is, from 0: lost ones count, a repeat gets the place that it had.

        ``seq`` has 32 bits and may wrap. It "may be repeated", which is a repeat only if the audio is the same.
        """
        last, self._last = self._last, seq
        if last is None:
            self._payload = payload
            return 0
        ahead = (seq - last + (1 << 31)) % (1 << 32) - (1 << 31)
        if ahead == 0:
            if payload == self._payload and not self._still:
                self._repeats += 1
                return self._place
            self._still = True
            # Those repeats were none, such as silence at the start of a call whose chunks have no numbers.
            self._place += 1 + self._repeats
            self._repeats = 0
        elif ahead > 0:
            self._step = min(self._step or ahead, ahead)
            self._place += ahead // self._step
            self._repeats = 0
        else:
            self._last = last  # an old one, or a count that starts anew: `reorder` finds out
            return self._place + ahead // (self._step or 1)
        self._payload = payload
        return self._place


class Side:
    """A track and whoever speaks on it: one leads, and what others say at the same time is mixed into its chunks."""

    def __init__(self, track: str, number: int) -> None:
        self.track = track
        self.seconds = 0.0
        """Audio given so far."""
        self._next = number * APART
        self._lead: Segment | None = None
        self._waiting: list[Segment] = []

    def take(self, segment: Segment, place: int, data: bytes, now: float) -> Packet | str | None:
        """One chunk: a packet, None when it waits to be mixed, or why it is dropped."""
        if segment is not self._lead:
            lead = self._lead
            if lead is not None and not lead.stopped and now - lead.heard <= PATIENCE:
                return self._wait(segment, place, data, now)
            self._lead = segment
            segment.base = self._next - place
            if segment in self._waiting:
                self._waiting.remove(segment)
                data = bytes(segment.waiting) + data
                segment.waiting.clear()
        segment.heard = now
        number = segment.base + place
        self._next = max(self._next, number + 1)
        if self._waiting:
            data = mixed(data, *(_cut(other.waiting, len(data)) for other in self._waiting))
            self._waiting = [other for other in self._waiting if other.waiting]
        self.seconds += len(data) / RATE
        return Packet(self.track, number, data, now)

    def rest(self, now: float) -> Packet | None:
        """The end: what still waits."""
        if not self._waiting:
            return None
        longest, *others = sorted((bytes(one.waiting) for one in self._waiting), key=len, reverse=True)
        self._waiting = []
        self.seconds += len(longest) / RATE
        return Packet(self.track, self._next, mixed(longest, *others), now)

    def _wait(self, segment: Segment, place: int, data: bytes, now: float) -> str | None:
        if place <= segment.furthest:
            return "duplicate"
        if len(segment.waiting) + len(data) > WAITING:
            return "mixed_too_late"
        segment.furthest = place
        segment.heard = now
        segment.waiting += data
        if segment not in self._waiting:
            self._waiting.append(segment)
        return None


def _cut(waiting: bytearray, length: int) -> bytes:
    piece = bytes(waiting[:length])
    del waiting[:length]
    return piece
