"""The consumer of the order, and the packets behind a gap that it judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from flowcore import Packet

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
