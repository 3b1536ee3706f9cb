"""Participants of a gRPC dialog as tracks, without I/O: each numbers its own chunks, and those of one side are mixed.

Over gRPC no message overtakes another, so sequence numbers only reveal chunks that were lost or repeated before.
"""

from __future__ import annotations

from flowcore import Packet
from nodes.audio.codecs import ToMulaw, mix
from nodes.audio.g711 import RATE

LEAD_TIMEOUT = 0.5
"""Seconds without audio of a track's leading participant, after which another one takes the lead."""

MAX_WAITING = round(LEAD_TIMEOUT * RATE) + 3200
"""Bytes of another participant's audio that wait to be mixed: the audio of that time, and a few chunks more."""

TRACK_STRIDE = 1 << 40
"""Distance between the first numbers of two tracks, which therefore never look like one counter."""


class Segment:
    """One participant's stretch of a dialog."""

    def __init__(self, mixer: TrackMixer, to_mulaw: ToMulaw) -> None:
        self.mixer = mixer
        self.to_mulaw = to_mulaw
        self.stopped = False
        """Whether its stop was announced; media may follow all the same."""
        self.heard_at = float("-inf")
        self.base = 0  # number of its first chunk on its track
        self.last_queued = -1  # place of the latest chunk that waited
        self.waiting = bytearray()
        self._last: int | None = None  # number of the latest chunk
        self._payload = b""
        self._place = 0  # place of that chunk in the segment
        self._step = 0  # of the numbers, from one chunk to the next
        self._repeats = 0  # chunks in a row that were taken for repeats
        self._still = False  # the number stood still for different audio: it counts something else, or nothing

    def place(self, seq: int, payload: bytes) -> int:
        """Return the place of a chunk in the segment, from 0. Lost chunks count; a repeat gets its earlier place.

        ``seq`` has 32 bits and may wrap. RingCX says that it "may be repeated": a repeat must also have the same audio.
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
            self._last = last  # an old chunk, or a restarted counter: `reorder` finds out
            return self._place + ahead // (self._step or 1)
        self._payload = payload
        return self._place


class TrackMixer:
    """A track and its participants: one leads, and simultaneous speech of the others is mixed into its chunks."""

    def __init__(self, track: str, number: int) -> None:
        self.track = track
        self.seconds = 0.0
        """Length of the audio of its packets so far."""
        self._next = number * TRACK_STRIDE
        self._lead: Segment | None = None
        self._waiting: list[Segment] = []

    def take(self, segment: Segment, place: int, data: bytes, now: float) -> Packet | str | None:
        """Take one chunk; return a packet, None if the chunk waits to be mixed, or the reason that it is dropped."""
        if segment is not self._lead:
            lead = self._lead
            if lead is not None and not lead.stopped and now - lead.heard_at <= LEAD_TIMEOUT:
                return self._wait(segment, place, data, now)
            self._lead = segment
            segment.base = self._next - place
            if segment in self._waiting:
                self._waiting.remove(segment)
                data = bytes(segment.waiting) + data
                segment.waiting.clear()
        segment.heard_at = now
        number = segment.base + place
        self._next = max(self._next, number + 1)
        if self._waiting:
            data = mix(data, *(_cut(other.waiting, len(data)) for other in self._waiting))
            self._waiting = [other for other in self._waiting if other.waiting]
        self.seconds += len(data) / RATE
        return Packet(self.track, number, data, now)

    def flush(self, now: float) -> Packet | None:
        """End the track; return the audio that still waits."""
        if not self._waiting:
            return None
        longest, *others = sorted((bytes(one.waiting) for one in self._waiting), key=len, reverse=True)
        self._waiting = []
        self.seconds += len(longest) / RATE
        return Packet(self.track, self._next, mix(longest, *others), now)

    def _wait(self, segment: Segment, place: int, data: bytes, now: float) -> str | None:
        if place <= segment.last_queued:
            return "duplicate"
        if len(segment.waiting) + len(data) > MAX_WAITING:
            return "mixed_too_late"
        segment.last_queued = place
        segment.heard_at = now
        segment.waiting += data
        if segment not in self._waiting:
            self._waiting.append(segment)
        return None


def _cut(waiting: bytearray, length: int) -> bytes:
    piece = bytes(waiting[:length])
    del waiting[:length]
    return piece
