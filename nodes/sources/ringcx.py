"""Receive calls that RingCX streams over WebSocket ("AgentSession 1.0.0"), each as a flow of packets of two parties."""

from __future__ import annotations

import asyncio

from websockets.http11 import Request

from flowcore import Format, Host, Listener, ListenerTools, Packet, node
from nodes.audio.g711 import RATE
from nodes.net.peer import Page, Peer
from nodes.net.port import Limits, Port
from nodes.net.proxy_trust import Address, ProxyTrust
from nodes.net.site import announce_pages, collect_routes
from nodes.ringcx.access_policy import AccessPolicy
from nodes.ringcx.call_attributes import CALL_IDS, WEBSOCKET_ATTRIBUTES
from nodes.ringcx.call_peer import CallPeer
from nodes.ringcx.events import PORT_EVENTS, WEBSOCKET_EVENTS, WEBSOCKET_REASONS
from nodes.ringcx.listener_config import LOAD_GENERATOR_SETTINGS, ListenerConfig

REAL_TIME = 32_000
"""Bytes a second of one call on the wire: two parties, 50 messages of about 310 bytes each."""


class RingCXConfig(ListenerConfig):
    """Address, access rules and limits of the listener."""


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
        load_generator_settings=LOAD_GENERATOR_SETTINGS,
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
        policy = AccessPolicy(config.rules(), host.report, host.connections)

        def call(request: Request, client: Address) -> Peer | Page:
            admission = policy.admit(request, client)
            if isinstance(admission, Page):
                return admission
            return CallPeer(host, request, admission, start=config.start, idle=config.idle)

        self._proxy_trust = ProxyTrust.load(config.tls, config.behind_proxy)
        port = Port(
            {"/": call} | collect_routes(host, config.exposed, policy.count_rejection),
            Limits(config.max_connections, config.handshake, config.max_speed * REAL_TIME),
            host.room,
            lambda error: host.report.event("connection_failed", cause=error),
            self._proxy_trust,
            policy.count_rejection,
        )
        number = port.listen(host.listen(config.host, config.port))

        def poll() -> None:
            port.poll(host.now)
            policy.poll(host.now())

        cancel = host.every_slot(poll)
        config.warn(host)
        host.announce("RingCX call streaming", config.address("ws", number) + "/")
        announce_pages(host, config.address("http", number))
        try:
            await asyncio.Event().wait()  # until cancelled
        finally:
            cancel()
            port.close()

    def reload(self) -> None:
        if self._proxy_trust.certificate is not None:
            self._proxy_trust.certificate.reload()
