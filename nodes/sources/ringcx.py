"""Take calls that RingCX streams over WebSocket ("AgentSession 1.0.0"), each as a flow of packets of two parties."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from pydantic import Field
from websockets.http11 import Request

import flowcore
from flowcore import Config, Duration, Format, Host, Inlet, Listener, Packet, Refused, node
from nodes.net.port import CLOSING, Connection, Limits, Port
from nodes.protocols.ringcx import ENDED, RATE, Broken, Call, Ignored, Start, attributes

REAL_TIME = 32_000
"""Bytes a second of one call on the wire: two parties, 50 messages of about 310 bytes each."""

LOOK = 0.25
"""Seconds between two looks at the time limits of a call that goes its usual way."""


@node("ringcx")
class RingCX(Listener[Packet]):
    """Listen for RingCX, or for ``flowcore simulate``; every connection that says Start becomes a flow.

    Out: ``Packet``, mu-law 8 kHz, tracks ``agent`` (RingCX's Participant) and ``customer`` (Conference), as they
    arrive: put ``reorder`` behind it. A call ends after the Stop of both parties, 2 s without audio after the first
    one, or when the connection closes.

    Example::

        call: {use: ringcx, with: {port: 3333}}
    """

    simulator = "nodes.simulators.ringcx"

    class Config(flowcore.Config):
        """Where to listen, and what connections may take."""

        host: str = "127.0.0.1"
        """Address to listen at; the default takes calls of this machine only, 0.0.0.0 those of any."""

        port: int = Field(default=3333, ge=0, le=65535)
        """TCP port to listen on; 0 picks one that is free."""

        max_connections: int = Field(default=2000, ge=1)
        """Connections at once in each process; more are answered 503, which makes RingCX try again."""

        handshake: Duration = Duration("5s")
        """Time that a connection has to ask for the upgrade."""

        start: Duration = Duration("30s")
        """Time that a connection has to say Start."""

        idle: Duration = Duration("1h")
        """Time without any message after which a call is given up; a call on hold may send nothing for long."""

        max_speed: float = Field(default=4, gt=0)
        """How much faster than real time one call may send, in the long run; TCP holds the rest back."""

    config: Config

    @classmethod
    def gives(cls, config: Config) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    @classmethod
    def listens(cls, config: Config) -> tuple[tuple[str, int], ...]:
        return ((config.host, config.port),)

    async def run(self, host: Host) -> None:
        config = self.config
        limits = Limits(config.max_connections, config.handshake, config.max_speed * REAL_TIME)
        port = Port({"/": lambda request: _CallPeer(config, host, request)}, limits, host.room)
        number = port.listen(host.listen(config.host, config.port))
        cancel = host.every_slot(lambda: port.poll(host.now))
        address = f"[{config.host}]" if ":" in config.host else config.host
        host.announce("RingCX call streaming", f"ws://{address}:{number}/")
        try:
            await asyncio.Event().wait()  # until cancelled
        finally:
            cancel()
            port.close()


class _CallPeer:
    """One connection of RingCX, from its upgrade request to its last message."""

    def __init__(self, config: RingCX.Config, host: Host, request: Request) -> None:
        host.admit()
        self._config = config
        self._host = host
        self._query = request.path.partition("?")[2]
        self._call = Call()
        self._connection: Connection | None = None
        self._inlet: Inlet | None = None
        self._opened = self._heard = host.now()
        self._closing = False
        self._look_at = 0.0  # when to look at time limits again
        self._hang_up_at = float("inf")

    def opened(self, connection: Connection) -> None:
        self._connection = connection

    def wants(self, now: float) -> bool:
        inlet = self._inlet
        if now < self._look_at and inlet is not None and not inlet.ended and not inlet.paused:
            return True
        self._look_at = now + LOOK
        if self._closing or now < self._hang_up_at < float("inf"):
            return True
        if now >= self._hang_up_at:
            self._close(1000)
        elif inlet is None:
            if now - self._opened >= self._config.start:
                self._close(1008, "no Start came")
        elif inlet.ended:  # not by us
            self._close(1001 if self._host.draining else 1011)
        elif inlet.paused:
            self._heard = now  # the silence is ours
            self._call.hold(now)
            return False
        elif self._call.poll(now) == ENDED:
            self._end("stop")
        elif now - self._heard >= self._config.idle:
            self._end("idle")
        return True

    def messages(self, messages: list[bytes], now: float) -> None:
        self._heard = now
        receive = self._call.receive
        try:
            for data in messages:
                if self._closing:
                    return  # what the peer said before it knew is not heard
                event = receive(data, now)
                if type(event) is Packet:
                    self._inlet.push(event)  # type: ignore[union-attr]  # no media gets past the table before Start
                else:
                    self._act(event)
        except Broken as broken:
            self._break(broken)

    def _act(self, event: object) -> None:
        """Anything but media."""
        self._look_at = 0.0
        if type(event) is Start:
            self._start(event)
        elif type(event) is Ignored:
            (self._inlet or self._host).report.dropped(event.reason)
        elif self._call.state == ENDED:
            self._end("stop")

    def closed(self, reason: str) -> None:
        if self._inlet is not None:
            self._inlet.end(reason)
        elif not self._closing:
            self._host.report.event("closed_without_start", reason=reason)

    def _start(self, start: Start) -> None:
        asked = attributes(parse_qsl(self._query), "query")
        try:
            self._inlet = self._host.accept(asked | start.attributes)
        except Refused as refused:  # there was room when the connection was let in
            self._close(1013, refused.reason)

    def _end(self, reason: str) -> None:
        inlet, call = self._inlet, self._call
        if inlet is not None:
            # RingCX announces whole seconds, so one second is no difference yet.
            if call.announced and abs(call.announced - call.seconds) > max(1.0, 0.02 * call.announced):
                inlet.report.event("duration_differs", announced=call.announced, received=round(call.seconds, 2))
            inlet.end(reason)
        self._hang_up_at = self._host.now() + CLOSING  # RingCX may want to close first

    def _break(self, broken: Broken) -> None:
        (self._inlet or self._host).report.event("call_refused", reason=broken.reason, detail=broken.detail)
        if self._inlet is not None:
            self._inlet.end("peer_broke_protocol")
        self._close(broken.code, broken.detail)

    def _close(self, code: int, reason: str = "") -> None:
        self._closing = True
        if self._connection is not None:
            self._connection.close(code, reason)
