"""Packetizer: cuts audio into numbered packets, as a sender of RingCX streams does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from flowcore import Audio, Packet
from flowcore.audio import SILENCE, TRACKS
from nodes.audio.g711 import RATE

Numbering = Literal["per_track", "shared"]


class Packetizer:
    """Cuts the mu-law audio of both tracks into packets of ``size`` bytes, numbered from ``first``.

    A hole in a track becomes silence of its length, so that positions stay right at the receiver. ``end`` holds the
    end of each track in samples. A packet's time of arrival is the time of its last sample, in seconds of the stream.
    Raises `KeyError` for a track that is neither ``agent`` nor ``customer``.
    """

    def __init__(self, size: int, sequence: Numbering = "per_track", first: int = 1) -> None:
        self.end = dict.fromkeys(TRACKS, 0)
        self._size = size
        self._held = {track: bytearray() for track in TRACKS}
        self._counter = {track: track if sequence == "per_track" else "" for track in TRACKS}
        self._next = dict.fromkeys(self._counter.values(), first)

    def add(self, chunk: Audio) -> Iterator[Packet]:
        """Yield the packets that ``chunk`` completes."""
        track = chunk.track
        held = self._held[track]
        held += bytes([SILENCE["mulaw"]]) * (chunk.start - self.end[track])
        held += chunk.samples.tobytes()
        self.end[track] = chunk.end
        at = 0
        while len(held) - at >= self._size:
            yield self._packet(track, bytes(held[at : at + self._size]), len(held) - at - self._size)
            at += self._size
        del held[:at]

    def flush(self) -> Iterator[Packet]:
        """Yield the rest of each track as a shorter packet, at the end of the stream."""
        for track, held in self._held.items():
            if held:
                yield self._packet(track, bytes(held), 0)
                held.clear()

    def _packet(self, track: str, data: bytes, behind: int) -> Packet:
        """Return a packet that ``behind`` samples of its track follow so far."""
        counter = self._counter[track]
        seq = self._next[counter]
        self._next[counter] += 1
        return Packet(track, seq, data, (self.end[track] - behind) / RATE)
