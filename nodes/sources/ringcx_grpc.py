"""Receive calls that RingCX streams over gRPC, each as a flow of packets of two parties: for newer accounts."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from flowcore import CannotStart, Extra, Format, Host, Listener, ListenerTools, Packet, node
from nodes.audio.g711 import RATE
from nodes.net.port import Limits, Port
from nodes.net.proxy_trust import ProxyTrust
from nodes.net.site import announce_pages, collect_routes, health_routes
from nodes.ringcx.access_policy import AccessPolicy, Admission
from nodes.ringcx.call_attributes import CALL_IDS, GRPC_ATTRIBUTES
from nodes.ringcx.events import GRPC_EVENTS, GRPC_REASONS, PORT_EVENTS
from nodes.ringcx.listener_config import LOAD_GENERATOR_SETTINGS, ListenerConfig

if TYPE_CHECKING:
    from nodes.ringcx.grpc_peer import GrpcPeer
    from nodes.ringcx.grpc_server import GrpcServer

MAX_BROWSERS = 1000
"""Connections of browsers at once."""


class RingCXGrpcConfig(ListenerConfig):
    """Address, access rules and limits of the listener."""

    bot: Literal["agent", "bot"] = "agent"
    """The track of bots: the agent's, or ``bot`` for nodes of your own (``interleave`` and ``split`` drop it)."""

    pages_port: int = Field(default=3334, ge=0, le=65535)
    """TCP port for other nodes' pages, such as ``captions``, if there are any: the gRPC port cannot serve them."""


@node("ringcx_grpc")
class RingCXGrpc(Listener[Packet, RingCXGrpcConfig]):
    """Listen for RingCX's gRPC streams, or for ``flowcore simulate --grpc``; every stream becomes a flow.

    Out: ``Packet``, mu-law 8 kHz, as they arrive: put ``reorder`` behind it. Contacts speak on track ``customer``,
    agents and bots on ``agent``; those of one side who speak at once are mixed. PCMA and L16 at 8 kHz are accepted too.
    A call ends with its stream; holds are pauses in it.

    Example::

        call: {use: ringcx_grpc, with: {port: 3333}}
    """

    attributes = GRPC_ATTRIBUTES
    call_ids = CALL_IDS
    events = (*PORT_EVENTS, *GRPC_EVENTS)
    reasons = GRPC_REASONS
    tools = ListenerTools(
        load_generator="nodes.simulators.ringcx_grpc",
        load_generator_settings=LOAD_GENERATOR_SETTINGS | {"pages_port": "0"},
        stand_in="nodes.ringcx.grpc_standin",
    )

    def __init__(self, config: RingCXGrpcConfig) -> None:
        super().__init__(config)
        self._proxy_trust = ProxyTrust()
        self._server: GrpcServer | None = None

    @classmethod
    def gives(cls, config: RingCXGrpcConfig) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    @classmethod
    def requires(cls, config: RingCXGrpcConfig) -> Sequence[Extra]:
        return (Extra("grpc", "grpc"), Extra("google.protobuf", "grpc"))

    @classmethod
    def listens(cls, config: RingCXGrpcConfig) -> tuple[tuple[str, int], ...]:
        return ((config.host, config.port), (config.host, config.pages_port))

    async def run(self, host: Host) -> None:
        await asyncio.to_thread(importlib.import_module, "nodes.ringcx.grpc_server")  # takes a second on a busy machine
        from nodes.ringcx.grpc_peer import GrpcPeer
        from nodes.ringcx.grpc_server import GrpcServer

        config = self.config
        policy = AccessPolicy(config, host.report, host.connections)

        def make_peer(admission: Admission) -> GrpcPeer:
            return GrpcPeer(
                host, admission, start=config.start, idle=config.idle, speed=config.max_speed, bot=config.bot
            )

        self._proxy_trust = ProxyTrust.load(config.tls, config.behind_proxy)
        self._server = server = GrpcServer(host, config, policy, self._proxy_trust, make_peer)
        page_port = self._open_pages(host, policy)
        number = await server.open()

        def poll() -> None:
            server.poll()
            if page_port is not None:
                page_port.poll(host.now)

        cancel = host.every_slot(poll)
        config.warn(host)
        self._proxy_trust.report_dates(host.report)
        host.announce("RingCX call streaming (gRPC)", config.address("grpc", number))
        try:
            await asyncio.Event().wait()  # until cancelled
        finally:
            cancel()
            if page_port is not None:
                page_port.close()
            await server.close()

    def reload(self) -> Sequence[Path]:
        return self._server.reload(self.report) if self._server is not None else ()

    def _open_pages(self, host: Host, policy: AccessPolicy) -> Port | None:
        """Serve the pages of other nodes on a port of their own, if there are any."""
        config = self.config
        routes = collect_routes(host, config.exposed, policy.report_rejection)
        if not routes:
            return None
        if config.pages_port == config.port != 0:
            raise CannotStart("gRPC and pages need a port each", field="pages_port")
        port = Port(
            routes | health_routes(host),
            Limits(MAX_BROWSERS, config.handshake, 32_000),
            host.room,
            lambda error: host.report.event("connection_failed", cause=error),
            self._proxy_trust,
            policy.report_rejection,
        )
        number = port.listen(host.listen(config.host, config.pages_port))
        announce_pages(host, config.address("http", number))
        return port
