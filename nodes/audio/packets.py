"""Sound into packets, as a sender of RingCX streams cuts and numbers it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from flowcore import Audio, Packet
from flowcore.audio import SILENCE, TRACKS
from nodes.audio.g711 import RATE

SILENT = bytes([SILENCE["mulaw"]])

Numbering = Literal["per_track", "shared"]


class Cutter:
    """Mu-law sound of two tracks into packets of ``size`` bytes, numbered from ``first``.

    A hole in a track becomes silence of its length, so that positions stay right at the receiver. ``end`` tells where
    each track ends so far, in samples. A packet's time of arrival is that at which its last sample was spoken, in
    seconds of the stream. Raises `KeyError` for a track that is neither ``agent`` nor ``customer``.
    """

    def __init__(self, size: int, sequence: Numbering = "per_track", first: int = 1) -> None:
        self.end = dict.fromkeys(TRACKS, 0)
        self._size = size
        self._held = {track: bytearray() for track in self.end}
        self._counter = dict.fromkeys(self.end, "")  # whose number a track takes
        if sequence == "per_track":
            self._counter = {track: track for track in self.end}
        self._next = dict.fromkeys(self._counter.values(), first)

    def cut(self, chunk: Audio) -> Iterator[Packet]:
        """The packets that are whole now."""
        track = chunk.track
        held = self._held[track]
        held += SILENT * (chunk.start - self.end[track])
        held += chunk.samples.tobytes()
        self.end[track] = chunk.end
        at = 0
        while len(held) - at >= self._size:
            yield self._packet(track, bytes(held[at : at + self._size]), len(held) - at - self._size)
            at += self._size
        del held[:at]

    def rest(self) -> Iterator[Packet]:
        """The stream has ended: what is left of each track, which makes a shorter packet."""
        for track, held in self._held.items():
            if held:
                yield self._packet(track, bytes(held), 0)
                held.clear()

    def _packet(self, track: str, data: bytes, behind: int) -> Packet:
        """One that ``behind`` samples follow so far."""
        counter = self._counter[track]
        seq = self._next[counter]
        self._next[counter] += 1
        return Packet(track, seq, data, (self.end[track] - behind) / RATE)
