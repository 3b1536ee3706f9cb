"""Space: one counter and the tracks that share it, what came of its numbers and what is still expected."""

from __future__ import annotations

from collections.abc import Sequence

from flowcore import Packet
from flowcore.audio import TELEPHONE_RATE as RATE

PROBATION_PACKETS = 12
"""Packets during which a shared counter is on probation: the same number on two tracks means two counters."""


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

    @property
    def waiting_since(self) -> float:
        """Arrival stamp of the first packet that is held; infinity without any."""
        return min((packet.arrived for packet in self.held.values()), default=float("inf"))

    def has(self, number: int) -> bool:
        """Whether a packet with this number came."""
        passed = self.parted <= number < self.next and (number - self.parted) % self.stride == 0
        return number in self.held or (passed and number not in self.given_up)

    def calm_down(self) -> None:
        """Let the next number go straight on if nothing is open."""
        self.calm = not self.held and not self.strays and self.owners is None

    def media_behind(self) -> float:
        """Seconds of one track that are held, but for its first packet: however long, one may have been overtaken."""
        media = dict.fromkeys(self.tracks, 0)
        first: dict[str, int] = {}
        for number in sorted(self.held):
            packet = self.held[number]
            if first.setdefault(packet.track, number) != number:
                media[packet.track] += len(packet.data)
        return max(media.values()) / RATE
