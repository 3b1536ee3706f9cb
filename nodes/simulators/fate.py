"""What befalls packets on a bad line: chance that a seed decides, and packets that come later than they were sent."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count
from typing import TypeVar

import msgspec

from flowcore import PACKETS, Config, Packet, Session, Transform


def dice(purpose: str, seed: int, session: Session) -> random.Random:
    """Chance that is the same for the same ``seed``, ``purpose`` and call, in every run and on every machine.

    A call is known by what its peer says of it: the engine's own name for a flow is another one each time.
    """
    call = [session.attributes.get(name, "") for name in ("call_id", "session_id")]
    return random.Random(repr((purpose, seed, call)))  # noqa: S311  # it has to be predictable


class Seeded(Config):
    """The config of a node that leaves something to chance."""

    seed: int = 0
    """Decides which packets, how long, and when."""


SeededT = TypeVar("SeededT", bound=Seeded)


class Fated(Transform[Packet, Packet, SeededT]):
    """A node that leaves something to chance: its ``dice`` follow from the ``seed`` in its config and from the call."""

    caps = (PACKETS,)
    balanced = True

    def __init__(self, config: SeededT) -> None:
        super().__init__(config)
        self.dice: random.Random

    def open(self, session: Session) -> None:
        self.dice = dice(self.name, self.config.seed, session)


class Late:
    """Packets with the time at which each is to go on, on the clock of their arrival stamps.

    What is due goes on when a packet comes that arrived then or later: so the stamps decide, and not the moment of the
    call. Each gets the time at which it was due as its own.
    """

    def __init__(self) -> None:
        self._held: list[tuple[float, int, Packet]] = []
        self._number = count()

    def hold(self, packet: Packet, due: float) -> None:
        """Keep it until ``due``; what is due at one time goes in the order in which it came."""
        heapq.heappush(self._held, (due, next(self._number), packet))

    def release(self, now: float, emit: Callable[[Packet], None]) -> None:
        """Let go of what is due, ``inf`` being after all time."""
        while self._held and self._held[0][0] <= now:
            due, _, packet = heapq.heappop(self._held)
            emit(msgspec.structs.replace(packet, arrived=due))
