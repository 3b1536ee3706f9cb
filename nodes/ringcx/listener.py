"""The listener behind ``ringcx`` and ``ringcx_grpc``: one port for calls of both transports, and for pages."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from websockets.http11 import Request

from flowcore import CannotStart, Format, Host, Listener, Packet, Report
from flowcore.addresses import Address
from flowcore.metrics import Histogram, Metric
from nodes.audio.g711 import RATE
from nodes.net.grpc_connection import GOAWAY_GRACE, Service
from nodes.net.peer import Page, Peer, Route
from nodes.net.port import CONNECTIONS, Limits, Port
from nodes.net.proxy_trust import ProxyTrust
from nodes.net.site import READY, announce_pages, collect_routes, health_routes
from nodes.ringcx.access_policy import AccessPolicy
from nodes.ringcx.call_attributes import CALL_IDS, PERSONAL_IDS
from nodes.ringcx.call_peer import CallPeer
from nodes.ringcx.capture.call_edge import CallEdge
from nodes.ringcx.capture.capture_file import recover_captures
from nodes.ringcx.capture.captures import Captures
from nodes.ringcx.listener_config import ListenerConfig, Transport

ConfigT = TypeVar("ConfigT", bound=ListenerConfig)

REAL_TIME = 32_000
"""Bytes a second of one call on the wire: two parties, 50 messages of about 310 bytes each; over gRPC less."""

TUNNEL_SETTINGS = {"behind_proxy": "['127.0.0.1', '::1']"}
"""Settings with which such a listener sees a caller's own address behind a tunnel that ends on this machine."""

LEAVING_GRACE = GOAWAY_GRACE + 0.5
"""Seconds after `RingCXListener.leave_port` in which peers over gRPC learn to open their next stream elsewhere."""

GRPC_MODULE = "nodes.ringcx.grpc_service"

NAMES: dict[tuple[Transport, ...], str] = {
    ("websocket",): "RingCX call streaming",
    ("grpc",): "RingCX call streaming (gRPC)",
}
"""The protocol in the log, by ``transports``; both of them otherwise."""


class RingCXListener(Listener[Packet, ConfigT]):
    """Takes calls of the transports that its config names."""

    call_ids = CALL_IDS
    personal = PERSONAL_IDS
    metrics = (CONNECTIONS,)
    hands_over = True

    def __init__(self, config: ConfigT) -> None:
        super().__init__(config)
        self._policy: AccessPolicy | None = None
        self._left = False
        self._left_at = 0.0
        self._now: Callable[[], float] = lambda: 0.0
        self._proxy_trust = ProxyTrust()
        self._port: Port | None = None

    @classmethod
    def gives(cls, config: ConfigT) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    @classmethod
    def listens(cls, config: ConfigT) -> tuple[tuple[str, int], ...]:
        return ((config.host, config.port),)

    @classmethod
    def make_resource(cls, config: ConfigT) -> Captures:
        return Captures(config.capture, config.secret)

    @classmethod
    def recover(cls, config: ConfigT, report: Report) -> None:
        recover_captures(config.capture, report)

    async def run(self, host: Host) -> None:
        config, self._now = self.config, host.now
        captures = self.resource or self.make_resource(config)  # a host of a test has no resources
        edges = captures if config.capture.calls != "none" else None
        if "grpc" in config.transports and GRPC_MODULE not in sys.modules:
            await asyncio.to_thread(importlib.import_module, GRPC_MODULE)  # protobuf takes a second on a busy machine
        policy = self._policy = AccessPolicy(config, host.report, host.connections)
        over_websocket, over_grpc = ("websocket" in config.transports), ("grpc" in config.transports)
        self._proxy_trust = ProxyTrust.load(config.tls, config.behind_proxy, http2=over_grpc)

        def failed(error: Exception) -> None:
            host.report.event("connection_failed", cause=error)

        routes = health_routes(host) | collect_routes(host, config.exposed, policy.report_rejection)
        if config.path in routes:
            raise CannotStart(f"{config.path} has a page: choose another path for calls", field="path")
        port = self._port = Port(
            routes,
            Limits(config.max_connections, config.handshake, config.max_speed * REAL_TIME),
            host.room,
            failed,
            self._proxy_trust,
            policy.report_rejection,
            fallback=self._calls(host, policy, edges),
            service=self._service(host, policy, failed, edges) if over_grpc else None,
        )
        number = port.listen(host.listen(config.host, config.port))
        if self._left:
            port.leave()

        def poll() -> None:
            captures.poll()
            port.poll(host.now)

        cancel = host.every_slot(poll)
        config.warn(host)
        self._proxy_trust.report_dates(host.report)
        what = NAMES.get(config.transports, "RingCX call streaming (WebSocket and gRPC)")
        address = config.address("ws", number) + (config.path or "/")
        host.announce(what, address if over_websocket else config.address("grpc", number))
        announce_pages(host, config.address("http", number))
        try:
            await asyncio.Event().wait()  # until cancelled
        finally:
            cancel()
            port.close()

    def leave_port(self) -> None:
        self._left, self._left_at = True, self._now()
        if self._port is not None:
            self._port.leave()

    @property
    def expecting(self) -> bool:
        if self._port is None or self._policy is None:
            return False
        announcing = self._now() - self._left_at <= LEAVING_GRACE
        return announcing or self._port.handshaking or self._policy.expecting

    def measure(self) -> dict[Metric, float | Histogram]:
        return {CONNECTIONS: len(self._port.connections) if self._port else 0}

    def reload(self) -> Sequence[Path]:
        return self._proxy_trust.reload(self.report)

    def _calls(self, host: Host, policy: AccessPolicy, captures: Captures | None) -> Route:
        """Return the route of calls over WebSocket, and of requests for no page."""
        config = self.config
        ready = health_routes(host)[READY]

        def call(request: Request, client: Address) -> Peer | Page:
            path = request.path.partition("?")[0]
            if request.method == "HEAD" and path in ("/", config.path):  # the probe of a load balancer
                return ready(request, client)
            if "websocket" not in config.transports and request.method == "GET":
                policy.report_rejection("no_websocket", client)
                return Page(HTTPStatus.NOT_FOUND, b"Calls come to this port over gRPC.\n")
            upgrade = "Upgrade" in request.headers
            # Without an upgrade the answer at / says what is missing.
            if path != config.path if config.path else not (upgrade or path == "/"):
                raise KeyError(path)
            admission = policy.admit(request, client)
            if isinstance(admission, Page):
                return admission
            edge = CallEdge(captures, request, "websocket", host.now())
            return CallPeer(host, request, admission, start=config.start, idle=config.idle, edge=edge)

        return call

    def _service(
        self, host: Host, policy: AccessPolicy, on_error: Callable[[Exception], None], captures: Captures | None
    ) -> Service:
        """Return the gRPC side of the port. Only a running listener imports protobuf."""
        from nodes.ringcx.grpc_service import ringcx_service

        def draining() -> bool:
            return host.draining or self._left

        return ringcx_service(host, self.config, policy, self._proxy_trust, on_error, captures, draining)
