"""How a call is made: what a sender does in order, and what it can do wrong, whichever way it speaks.

`nodes.ringcx.websocket_transport` and `grpc_manner` are RingCX's two; `chaos` makes trouble of either.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

from flowcore import Packet


class CallTransport(ABC):
    """One call, in order: `begin`, the `media` as it comes, and `end`.

    ``said`` is what the call says of itself, by the names of a flow's attributes. All of it may wait for the receiver.
    """

    garbage: tuple[str, ...]
    """Names of what `say_garbage` can say."""

    def __init__(self, said: Mapping[str, str]) -> None:
        self.said = dict(said)

    @abstractmethod
    def begin(self) -> None:
        """Connect and say so; also for another session of the call. Raises `CannotStart`."""

    @abstractmethod
    def media(self, packet: Packet) -> None:
        """One packet of one party. Raises `FlowcoreError` when the receiver has ended the call."""

    @abstractmethod
    def stops(self, count: int) -> None:
        """Tell the end of ``count`` parties."""

    @abstractmethod
    def hang_up(self) -> None:
        """End in order. Raises `FlowcoreError` if the receiver does not."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is still open."""

    def end(self) -> None:
        """The call is over."""
        self.stops(2)
        self.hang_up()

    # What can go wrong. Of all this a receiver should lose no sample that was sent.

    @abstractmethod
    def expect(self, kinds: Collection[str]) -> None:
        """Before it begins: these of `nodes.ringcx.chaos.KINDS` are to come."""

    @abstractmethod
    def begin_without_start(self) -> None:
        """Begin, and not with the start."""

    @abstractmethod
    def hold(self, seconds: float, told: bool) -> None:
        """Say nothing for a while; ``told``: announced, where there are words for it."""

    @abstractmethod
    def say_garbage(self, name: str) -> None:
        """What is no message, or means nothing."""

    @abstractmethod
    def slow_down(self, seconds: float) -> None:
        """For about so long messages come in crumbs, slower than real time."""

    @abstractmethod
    def fall_silent(self) -> None:
        """Nothing will be said any more, and nobody is told."""

    @abstractmethod
    def vanish(self) -> None:
        """The connection is gone without a word."""

    def end_without_stops(self, stops: int) -> None:
        """The call is over, and not for every party."""
        self.stops(stops)
        self.hang_up()
