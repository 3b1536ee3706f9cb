"""The sender's side of a call over either transport: the steps in order, and the faults that it can inject.

`nodes.ringcx.websocket_transport` and `nodes.ringcx.grpc_transport` are RingCX's two transports;
`nodes.ringcx.chaos` injects faults into either.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

from flowcore import Packet


class CallTransport(ABC):
    """One call: `begin`, then `media` for each packet, then `end`.

    ``attributes`` are the call's metadata, named as in a flow's attributes. Every method may block on the receiver.
    """

    garbage: tuple[str, ...]
    """The names that `send_garbage` accepts."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes = dict(attributes)

    @abstractmethod
    def begin(self) -> None:
        """Connect and start the call, or another session of it. Raises `CannotStart`."""

    @abstractmethod
    def media(self, packet: Packet) -> None:
        """Send one packet of one party. Raises `FlowcoreError` when the receiver has ended the call."""

    @abstractmethod
    def stop_parties(self, count: int) -> None:
        """Send the stop of ``count`` parties."""

    @abstractmethod
    def hang_up(self) -> None:
        """Close the connection in good order. Raises `FlowcoreError` if the receiver does not."""

    @abstractmethod
    def close(self) -> None:
        """Release the connection, whatever its state."""

    def end(self) -> None:
        """End the call in good order."""
        self.stop_parties(2)
        self.hang_up()

    # Faults. With any of them, a receiver should lose no sample that was sent.

    @abstractmethod
    def prepare(self, kinds: Collection[str]) -> None:
        """Prepare for these of `nodes.ringcx.chaos.KINDS`, before the call begins."""

    @abstractmethod
    def begin_without_start(self) -> None:
        """Begin with other messages than the start."""

    @abstractmethod
    def hold(self, seconds: float, announced: bool) -> None:
        """Send nothing for ``seconds``; ``announced``: with hold messages, if the protocol has them."""

    @abstractmethod
    def send_garbage(self, name: str) -> None:
        """Send an invalid or meaningless message."""

    @abstractmethod
    def slow_down(self, seconds: float) -> None:
        """Send messages in small pieces, slower than real time, for about ``seconds``."""

    @abstractmethod
    def fall_silent(self) -> None:
        """Send nothing more, and leave the connection open."""

    @abstractmethod
    def reset(self) -> None:
        """Reset the connection."""

    def end_without_stops(self, stops: int) -> None:
        """End the call with only ``stops`` stops."""
        self.stop_parties(stops)
        self.hang_up()
