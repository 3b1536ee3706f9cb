"""Take calls that RingCX streams over WebSocket ("AgentSession 1.0.0"), each as a flow of packets of two parties."""

from __future__ import annotations

import asyncio

from pydantic import Field

import flowcore
from flowcore import Duration, Format, Host, Listener, Packet, node
from nodes.net.call_peer import CallPeer
from nodes.net.port import Limits, Port
from nodes.protocols.ringcx import RATE

REAL_TIME = 32_000
"""Bytes a second of one call on the wire: two parties, 50 messages of about 310 bytes each."""


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
    rehearsal = "nodes.simulators.ringcx_rehearsal"

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
        port = Port(
            {"/": lambda request, caller: CallPeer(host, request, start=config.start, idle=config.idle)},
            limits,
            host.room,
            lambda error: host.report.event("connection_failed", cause=error),
        )
        number = port.listen(host.listen(config.host, config.port))
        cancel = host.every_slot(lambda: port.poll(host.now))
        address = f"[{config.host}]" if ":" in config.host else config.host
        host.announce("RingCX call streaming", f"ws://{address}:{number}/")
        try:
            await asyncio.Event().wait()  # until cancelled
        finally:
            cancel()
            port.close()
