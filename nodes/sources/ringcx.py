"""Take calls that RingCX streams over WebSocket ("AgentSession 1.0.0"), each as a flow of packets of two parties."""

from __future__ import annotations

import asyncio
from typing import Self

from pydantic import Field, IPvAnyNetwork, model_validator
from websockets.http11 import Request

import flowcore
from flowcore import Duration, Format, Host, Listener, Packet, node
from nodes.net.call_peer import CallPeer
from nodes.net.credentials import Secret
from nodes.net.doorman import Doorman, Rules, SecretMode
from nodes.net.front import Address, Front, is_loopback
from nodes.net.port import Limits, Page, Peer, Port
from nodes.net.site import offer, pages
from nodes.net.tls import TlsFiles
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
    simulated = {"host": "127.0.0.1", "port": "0", "tls": "null", "secret_mode": "off"}
    simulated |= {"networks": "[]", "accounts": "[]", "max_calls_per_ip": "null"}
    rehearsal = "nodes.simulators.ringcx_rehearsal"

    class Config(flowcore.Config):
        """Where to listen, who may call, and what connections may take."""

        host: str = "127.0.0.1"
        """Address to listen at: by default for this machine only; 0.0.0.0 for any needs ``tls`` or ``behind_proxy``."""

        port: int = Field(default=3333, ge=0, le=65535)
        """TCP port to listen on; 0 picks one that is free."""

        tls: TlsFiles | None = None
        """Certificate and key for wss://; without them the port speaks ws://."""

        behind_proxy: tuple[IPvAnyNetwork, ...] = ()
        """Networks of the proxies before this port: their X-Forwarded-For or Forwarded is believed, nobody else's."""

        secret: Secret | None = None
        """The streaming profile's, as ``${NAME}``: 8 to 200 characters, looked for in all that is said up to Start."""

        secret_mode: SecretMode = "require"  # noqa: S105  # no password
        """Whether a call without the ``secret`` is refused; ``observe`` lets it in and logs where the secret was."""

        accounts: tuple[str, ...] = ()
        """Accounts, subaccounts or RingCentral accounts of which a call must name one; any when left out."""

        networks: tuple[IPvAnyNetwork, ...] = ()
        """Networks that may call; any when left out."""

        origins: tuple[str, ...] = ()
        """Web pages that may call, like https://example.com: RingCX is none and sends no Origin."""

        max_calls_per_ip: int | None = Field(default=None, ge=1)
        """Connections that one address may hold at once in each process; RingCX calls from few addresses."""

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

        @model_validator(mode="after")
        def _is_safe(self) -> Self:
            if not is_loopback(self.host) and self.tls is None and not self.behind_proxy:
                raise ValueError(
                    "other machines would send their calls through the network in the clear: give tls a certificate, "
                    "name in behind_proxy the proxy that has one, or listen at host 127.0.0.1"
                )
            asked = "secret_mode" in self.model_fields_set and self.secret_mode in ("observe", "require")
            if asked and self.secret is None:
                raise ValueError(f"secret_mode {self.secret_mode} needs a secret: write  secret: ${{NAME}}")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config
        self._front = Front()

    @classmethod
    def gives(cls, config: Config) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    @classmethod
    def listens(cls, config: Config) -> tuple[tuple[str, int], ...]:
        return ((config.host, config.port),)

    async def run(self, host: Host) -> None:
        config = self.config
        doorman = Doorman(_rules(config), host.report)

        def call(request: Request, caller: Address) -> Peer | Page:
            visit = doorman.ask(request, caller)
            if isinstance(visit, Page):
                return visit
            return CallPeer(host, request, visit, start=config.start, idle=config.idle)

        self._front = Front.of(config.tls, config.behind_proxy)
        port = Port(
            {"/": call} | pages(host, bool(config.behind_proxy) or not is_loopback(config.host)),
            Limits(config.max_connections, config.handshake, config.max_speed * REAL_TIME),
            host.room,
            lambda error: host.report.event("connection_failed", cause=error),
            self._front,
            doorman.turned_away,
        )
        number = port.listen(host.listen(config.host, config.port))

        def poll() -> None:
            port.poll(host.now)
            doorman.poll(host.now())

        cancel = host.every_slot(poll)
        secure = "s" if config.tls else ""
        address = f"[{config.host}]" if ":" in config.host else config.host
        if not doorman.rules.guarded and (host.public or not is_loopback(config.host)):
            host.report.event("open_to_all", advice="whoever finds this port may call: set secret or networks")
        host.announce("RingCX call streaming", f"ws{secure}://{address}:{number}/")
        offer(host, f"http{secure}://{address}:{number}")
        try:
            await asyncio.Event().wait()  # until cancelled
        finally:
            cancel()
            port.close()

    def reload(self) -> None:
        if self._front.certificate is not None:
            self._front.certificate.renew()


def _rules(config: RingCX.Config) -> Rules:
    return Rules(
        config.secret.get_secret_value() if config.secret else "",
        config.secret_mode,
        config.networks,
        {origin.lower().rstrip("/") for origin in config.origins},
        set(config.accounts),
        config.max_calls_per_ip,
    )
