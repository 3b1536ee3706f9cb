"""Receive calls that RingCX streams over WebSocket ("AgentSession 1.0.0"), each as a flow of packets of two parties."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import field_validator
from websockets.http11 import Request

from flowcore import CannotStart, Format, Host, Listener, ListenerTools, Packet, node
from nodes.audio.g711 import RATE
from nodes.net.peer import Page, Peer
from nodes.net.port import Limits, Port
from nodes.net.proxy_trust import Address, ProxyTrust
from nodes.net.site import READY, announce_pages, collect_routes, health_routes
from nodes.ringcx.access_policy import AccessPolicy
from nodes.ringcx.call_attributes import CALL_IDS, WEBSOCKET_ATTRIBUTES
from nodes.ringcx.call_peer import CallPeer
from nodes.ringcx.events import PORT_EVENTS, WEBSOCKET_EVENTS, WEBSOCKET_REASONS
from nodes.ringcx.listener_config import LOAD_GENERATOR_SETTINGS, ListenerConfig

REAL_TIME = 32_000
"""Bytes a second of one call on the wire: two parties, 50 messages of about 310 bytes each."""


class RingCXConfig(ListenerConfig):
    """Address, access rules and limits of the listener."""

    path: str | None = None
    """Path that calls must come to, like /ringcx/audio; any when left out."""

    @field_validator("path")
    @classmethod
    def _is_path(cls, path: str | None) -> str | None:
        if path is not None and not re.fullmatch(r"/[!-~]*", path.replace("?", " ").replace("#", " ")):
            raise ValueError("write a path without query, like /ringcx/audio; leave it out to take calls at any path")
        return path

    def takes(self, path: str, *, upgrade: bool) -> bool:
        """Return whether calls come to ``path``. Without an ``upgrade`` it is /, whose answer says what is missing."""
        return path == self.path if self.path else upgrade or path == "/"


@node("ringcx")
class RingCX(Listener[Packet, RingCXConfig]):
    """Listen for RingCX, or for ``flowcore simulate``; every connection that sends Start becomes a flow.

    Out: ``Packet``, mu-law 8 kHz, tracks ``agent`` (RingCX's Participant) and ``customer`` (Conference), as they
    arrive: put ``reorder`` behind it. A call ends after the Stop of both parties, 2 s without audio after the first
    one, or when the connection closes.

    Example::

        call: {use: ringcx, with: {port: 3333}}
    """

    attributes = WEBSOCKET_ATTRIBUTES
    call_ids = CALL_IDS
    events = (*PORT_EVENTS, *WEBSOCKET_EVENTS)
    reasons = WEBSOCKET_REASONS
    tools = ListenerTools(
        load_generator="nodes.simulators.ringcx",
        load_generator_settings=LOAD_GENERATOR_SETTINGS | {"path": "null"},
        tunnel_settings={"behind_proxy": "['127.0.0.1', '::1']"},
        stand_in="nodes.ringcx.standin",
    )

    def __init__(self, config: RingCXConfig) -> None:
        super().__init__(config)
        self._proxy_trust = ProxyTrust()

    @classmethod
    def gives(cls, config: RingCXConfig) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    @classmethod
    def listens(cls, config: RingCXConfig) -> tuple[tuple[str, int], ...]:
        return ((config.host, config.port),)

    async def run(self, host: Host) -> None:
        config = self.config
        policy = AccessPolicy(config, host.report, host.connections)
        health = health_routes(host)

        def call(request: Request, client: Address) -> Peer | Page:
            path = request.path.partition("?")[0]
            if request.method == "HEAD" and path in ("/", config.path):  # the probe of a load balancer
                return health[READY](request, client)
            if not config.takes(path, upgrade="Upgrade" in request.headers):
                raise KeyError(path)
            admission = policy.admit(request, client)
            if isinstance(admission, Page):
                return admission
            return CallPeer(host, request, admission, start=config.start, idle=config.idle)

        self._proxy_trust = ProxyTrust.load(config.tls, config.behind_proxy)
        routes = health | collect_routes(host, config.exposed, policy.report_rejection)
        if config.path in routes:
            raise CannotStart(f"{config.path} has a page: choose another path for calls", field="path")
        port = Port(
            routes,
            Limits(config.max_connections, config.handshake, config.max_speed * REAL_TIME),
            host.room,
            lambda error: host.report.event("connection_failed", cause=error),
            self._proxy_trust,
            policy.report_rejection,
            fallback=call,
        )
        number = port.listen(host.listen(config.host, config.port))

        cancel = host.every_slot(lambda: port.poll(host.now))
        config.warn(host)
        self._proxy_trust.report_dates(host.report)
        host.announce("RingCX call streaming", config.address("ws", number) + (config.path or "/"))
        announce_pages(host, config.address("http", number))
        try:
            await asyncio.Event().wait()  # until cancelled
        finally:
            cancel()
            port.close()

    def reload(self) -> Sequence[Path]:
        return self._proxy_trust.reload(self.report)
