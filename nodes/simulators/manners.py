"""How a call is made: as RingCX makes it. `nodes.simulators.chaos` knows other manners."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from flowcore import Packet
from nodes.protocols.ringcx import RATE, Caller, Dialect
from nodes.simulators.line import Line


class Manner:
    """Connected, Start, the media as it comes, a Stop for each party, and then it hangs up.

    ``said`` is what the call says of itself: see `nodes.protocols.ringcx.Caller`. All of it may wait for the receiver.
    """

    def __init__(self, url: str, said: Mapping[str, str], dialect: Dialect) -> None:
        self.url = url
        self.said = dict(said)
        self.dialect: Dialect = dialect
        self.line: Line | None = None
        self.caller = Caller(self.said, dialect)
        self.seconds = {"agent": 0.0, "customer": 0.0}
        """What each party said in this session."""

    def begin(self) -> None:
        """Connect and say so. Raises `CannotStart`."""
        self.caller = Caller(self.said, self.dialect)
        self.line = Line(self.caller.asks(self.url))
        self.line.say(self.caller.connected())
        self.line.say(self.caller.start())

    def media(self, packet: Packet) -> None:
        """20 ms of one party."""
        self.seconds[packet.track] += len(packet.data) / RATE
        self.say(self.caller.media(packet.track, packet.data, packet.seq))

    def end(self) -> None:
        """The call is over."""
        self.stops(2)
        self.hang_up()

    def stops(self, count: int) -> None:
        """Tell the end of ``count`` parties."""
        ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for seconds in list(self.seconds.values())[:count]:
            self.say(self.caller.stop(round(seconds), ended))

    def say(self, message: bytes) -> None:
        """One message of the call, once it has begun."""
        if self.line is not None:
            self.line.say(message)

    def hang_up(self) -> None:
        """Close in order. Raises `FlowcoreError` if the receiver does not."""
        if self.line is not None:
            self.line.hang_up()

    def close(self) -> None:
        """Let go of what is still open."""
        if self.line is not None:
            self.line.close()
