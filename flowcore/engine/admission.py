"""Limits on calls and connections: the engine asks here before it lets a call in."""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol

from flowcore.listener import ConnectionCounter
from flowcore.resource import Resource

MAX_CONNECTIONS_PER_SLOT: Final = 64
"""Connections that a single process accepts in one slot at most."""


class CallLimit(Protocol):
    """A limit on live calls, over all processes of a run."""

    @property
    def share(self) -> int:
        """Calls that this process has to expect at once."""

    @property
    def full(self) -> bool:
        """Whether a call that came now would be refused."""

    @property
    def left(self) -> int:
        """Calls that this process may still take: its part of those that are left."""

    @property
    def takers(self) -> int:
        """Processes that take calls, at least 1."""

    @property
    def connections(self) -> ConnectionCounter:
        """Connections by address, over all processes of a run."""

    def take(self) -> bool:
        """Reserve a place for a call; False when there is none."""

    def give_back(self) -> None:
        """Free the place of a call that has ended."""

    def join(self) -> None:
        """Announce that this process takes calls from now on."""

    def leave(self) -> None:
        """Announce that this process takes no more calls."""

    def room(self) -> int:
        """Return how many new connections this process should accept in this slot."""


class MessagePort(Protocol):
    """The way from a resource to the same resource in the other processes of a run."""

    def join(self, name: str, resource: Resource) -> None:
        """Connect ``resource``: set its ``tell``, and deliver messages to it."""


class LocalCallLimit:
    """A `CallLimit` for a single process: at most ``limit`` calls."""

    takers = 1

    def __init__(self, limit: int) -> None:
        self.connections = LocalConnectionCounter()
        self.share = limit
        self._held = 0

    @property
    def full(self) -> bool:
        return self._held >= self.share

    @property
    def left(self) -> int:
        return max(0, self.share - self._held)

    def take(self) -> bool:
        if self.full:
            return False
        self._held += 1
        return True

    def give_back(self) -> None:
        self._held -= 1

    def join(self) -> None:
        """Do nothing: there is no other process to tell."""

    leave = join

    def room(self) -> int:
        return MAX_CONNECTIONS_PER_SLOT


class LocalConnectionCounter:
    """Counts the connections of a single process; implements `flowcore.listener.ConnectionCounter`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, address: str) -> int:
        return self._counts[address]

    def add(self, address: str) -> None:
        self._counts[address] += 1

    def remove(self, address: str) -> None:
        if self._counts[address] > 1:
            self._counts[address] -= 1
        else:
            self._counts.pop(address, None)  # or addresses would pile up
