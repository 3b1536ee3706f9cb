"""Participants of a gRPC dialog as tracks, without I/O: each numbers its own chunks, and those of one side are mixed.

Over gRPC no message overtakes another, so sequence numbers only reveal chunks that were lost or repeated before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from flowcore import Packet
from nodes.audio.codecs import ToMulaw, mix
from nodes.audio.g711 import RATE

LEAD_TIMEOUT = 0.5
"""Seconds without audio of a track's leading participant, after which another one takes the lead; seconds that its
chunks wait for another participant's audio of the same time."""

GAP_TOLERANCE = round(0.2 * RATE)
"""Samples between a participant's chunks, by their arrival, that are jitter and no pause: as in `reorder`."""

HANDOVER_TOLERANCE = round(0.02 * RATE)
"""Samples between the last chunk of one participant and the first of the next, by their arrival, that are jitter."""

MAX_WAITING = round(LEAD_TIMEOUT * RATE) + 3200
"""Bytes of another participant's audio that wait to be mixed: the audio of that time, and a few chunks more."""

TRACK_STRIDE = 1 << 40
"""Distance between the first numbers of two tracks, which therefore never look like one counter."""

SILENCE = b"\xff"
"""A silent sample in mu-law."""


class Dropped(msgspec.Struct, frozen=True):
    """Audio that a track does not take, and why."""

    reason: str
    seconds: float


class Filled(msgspec.Struct, frozen=True):
    """Silence of a track in which its participants said nothing, and why."""

    reason: str
    seconds: float


class Segment:
    """One participant's stretch of a dialog. ``start`` and ``end`` are positions of its waiting audio on its track."""

    def __init__(self, mixer: TrackMixer, to_mulaw: ToMulaw) -> None:
        self.mixer = mixer
        self.to_mulaw = to_mulaw
        self.stopped = False
        """Whether its stop was announced; media may follow all the same."""
        self.heard_at = float("-inf")
        self.base = 0  # number of its first chunk on its track
        self.last_queued = -1  # place of the latest chunk that waited
        self.waiting = bytearray()
        self.start = self.end = -TRACK_STRIDE  # said nothing yet
        self._last: int | None = None  # number of the latest chunk
        self._payload = b""
        self._place = 0  # place of that chunk in the segment
        self._step = 0  # of the numbers, from one chunk to the next
        self._repeats = 0  # chunks in a row that were taken for repeats
        self._still = False  # the number stood still for different audio: it counts something else, or nothing

    def cut(self, start: int, length: int) -> bytes:
        """Take the waiting audio from one position on, with silence before it; empty if there is none."""
        before = self.start - start
        if not self.waiting or before >= length:
            return b""
        piece = bytes(self.waiting[: length - before])
        del self.waiting[: length - before]
        self.start += len(piece)
        return SILENCE * before + piece

    def skip(self, seq: int) -> None:
        """Take the next number for a chunk without audio, which has no place."""
        ahead = 0 if self._last is None else (seq - self._last) % (1 << 32)
        if ahead and ahead == (self._step or ahead):
            self._last = seq

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
    """A track and its participants: one leads, and what the others say at the same time is mixed into its chunks.

    The others stand where their audio arrived beside the leader's. So while another one may speak, the leader's chunks
    wait until the other's audio of their time is there, but no longer than `LEAD_TIMEOUT`.
    """

    def __init__(self, track: str, number: int) -> None:
        self.track = track
        self.seconds = 0.0
        """Length of the audio of its packets so far."""
        self._next = number * TRACK_STRIDE
        self._lead: Segment | None = None
        self._others: list[Segment] = []
        self._chunks: deque[tuple[int, bytes, float]] = deque()  # number, audio and arrival of the leader's that wait
        self._emitted = 0  # position of the first of them, in samples
        self._end = 0  # position after the leader's last chunk
        self._ended_at = 0.0  # and when it came

    def join(self, segment: Segment, now: float) -> None:
        """A participant may speak from now on."""
        segment.heard_at = now
        self._others.append(segment)

    def take(self, segment: Segment, place: int, data: bytes, now: float) -> Iterator[Packet | Dropped | Filled]:
        """Take one chunk; yield the packets that are ready, and what is dropped or filled in."""
        if segment is not self._lead:
            leads = self._lead is not None and not self._lead.stopped and now - self._lead.heard_at <= LEAD_TIMEOUT
            if leads or self._chunks or segment.waiting:
                yield from self._wait(segment, place, data, now)
                data = b""
            yield from self._release(now, everything=not leads)
            if leads:
                return
            gap = (segment.start if segment.waiting else self._position(now) - len(data)) - self._end
            paused = self._lead is not None and HANDOVER_TOLERANCE < gap <= LEAD_TIMEOUT * RATE  # `reorder` sees longer
            data = bytes(segment.waiting) + data
            self._hand_over(segment, place if data else place + 1)
            if not data:
                return
        else:
            missing = segment.base + place - self._next
            if missing < 0:  # a repeat, which `reorder` drops
                yield self._packet(segment.base + place, data, now)
                return
            gap = self._position(now) - len(data) * (1 + missing) - self._end
            paused = any(other.waiting for other in self._others) and gap > GAP_TOLERANCE
        if paused:
            data = SILENCE * gap + data
            yield Filled("handover", gap / RATE)
        segment.heard_at = self._ended_at = now
        number = segment.base + place
        self._next = max(self._next, number + 1)
        self._chunks.append((number, data, now))
        self._end += len(data)
        yield from self._release(now)

    def flush(self, now: float) -> Iterator[Packet]:
        """End the track; yield the audio that still waits."""
        yield from self._release(now, everything=True)
        voices = sorted((other.cut(self._end, MAX_WAITING * 2) for other in self._others), key=len, reverse=True)
        if voices and voices[0]:
            yield self._packet(self._next, mix(*voices) if voices[1:] else voices[0], now)

    def _position(self, now: float) -> int:
        """Position of what is spoken now, by the arrival of the leader's last chunk."""
        return self._end + round((now - self._ended_at) * RATE)

    def _hand_over(self, segment: Segment, place: int) -> None:
        """Make a participant the leader, whose next chunk has this place."""
        if segment in self._others:
            self._others.remove(segment)
        if self._lead is not None:
            self._lead.start = self._lead.end = self._end
            self._others.append(self._lead)
        self._lead = segment
        segment.base = self._next - place
        segment.waiting.clear()

    def _wait(self, segment: Segment, place: int, data: bytes, now: float) -> Iterator[Dropped]:
        """Keep a chunk that is to be mixed into the leader's."""
        if segment not in self._others:  # its stop came before its last media
            self._others.append(segment)
        start = self._position(now) - len(data)
        if abs(start - segment.end) <= GAP_TOLERANCE:
            start = segment.end
        elif abs(start - self._end) <= HANDOVER_TOLERANCE:
            start = self._end
        start = max(start, segment.end, self._emitted)
        pause = start - segment.end if segment.waiting else 0
        if pause > LEAD_TIMEOUT * RATE:  # `reorder` sees it
            start, pause = segment.end, 0
        if place <= segment.last_queued:
            yield Dropped("duplicate", len(data) / RATE)
        elif len(segment.waiting) + pause + len(data) > MAX_WAITING:
            yield Dropped("mixed_too_late", len(data) / RATE)
        else:
            if not segment.waiting:
                segment.start = start
            segment.waiting += SILENCE * pause + data
            segment.end = start + len(data)
            segment.last_queued = place
            segment.heard_at = now

    def _release(self, now: float, *, everything: bool = False) -> Iterator[Packet]:
        """Mix and yield the leader's chunks for which the other participants' audio is complete."""
        self._others = [one for one in self._others if one.waiting or not one.stopped]
        speaking = [one.end for one in self._others if not one.stopped and now - one.heard_at <= LEAD_TIMEOUT]
        until = self._end if everything else min(speaking, default=self._end)
        while self._chunks and self._emitted + len(self._chunks[0][1]) <= until:
            number, data, arrived = self._chunks.popleft()
            voices = [voice for one in self._others if (voice := one.cut(self._emitted, len(data)))]
            self._emitted += len(data)
            yield self._packet(number, mix(data, *voices) if voices else data, arrived)

    def _packet(self, number: int, data: bytes, arrived: float) -> Packet:
        self.seconds += len(data) / RATE
        return Packet(self.track, number, data, arrived)
