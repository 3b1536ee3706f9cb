"""The sender's side of a call over either transport: the steps in order, and the faults that it can inject.

`nodes.ringcx.websocket_transport` and `nodes.ringcx.grpc_transport` are RingCX's two transports;
`nodes.ringcx.chaos` injects faults into either.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from flowcore import Packet


class CallTransport(Protocol):
    """One call: `begin`, then `media` for each packet, then `end`. Every method may block on the receiver."""

    attributes: dict[str, str]
    """The call's metadata, named as in a flow's attributes."""

    garbage: tuple[str, ...]
    """The names that `send_garbage` accepts."""

    def begin(self) -> None:
        """Connect and start the call, or another session of it. Raises `CannotStart`."""

    def media(self, packet: Packet) -> None:
        """Send one packet of one party. Raises `FlowcoreError` when the receiver has ended the call."""

    def end(self, stops: int = 2) -> None:
        """Send the stop of each party and close in good order; with fewer than two ``stops`` that is a fault.

        Raises `FlowcoreError` if the receiver does not close.
        """

    def close(self) -> None:
        """Release the connection, in any state."""

    # Faults. With any of them, a receiver should lose no sample that was sent.

    def prepare(self, kinds: Collection[str]) -> None:
        """Prepare for these of `nodes.ringcx.chaos.KINDS`, before the call begins."""

    def begin_without_start(self) -> None:
        """Begin with other messages than the start."""

    def hold(self, seconds: float, announced: bool) -> None:
        """Send nothing for ``seconds``; ``announced``: with hold messages, if the protocol has them."""

    def send_garbage(self, name: str) -> None:
        """Send an invalid or meaningless message."""

    def slow_down(self, seconds: float) -> None:
        """Send messages in small pieces, slower than real time, for about ``seconds``."""

    def fall_silent(self) -> None:
        """Send nothing more, and leave the connection open."""

    def reset(self) -> None:
        """Reset the connection."""
