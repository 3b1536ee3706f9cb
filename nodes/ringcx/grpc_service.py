"""RingCX's gRPC service on a listener's port: admits each stream and opens its `GrpcPeer`."""

from __future__ import annotations

from collections.abc import Callable

from websockets.http11 import Request

from flowcore import Host, Refused, open_files
from flowcore.addresses import Address
from nodes.net.grpc_connection import Handler, Service
from nodes.net.grpc_framing import Code, GrpcError
from nodes.net.grpc_health import health_methods
from nodes.net.peer import Page
from nodes.net.proxy_trust import ConflictingHeaders, ProxyTrust
from nodes.net.site import health_routes, not_ready
from nodes.ringcx.access_policy import AccessPolicy
from nodes.ringcx.capture.call_edge import CallEdge, Captures
from nodes.ringcx.dialog_sender import METHOD, SERVICE
from nodes.ringcx.grpc_peer import GrpcPeer
from nodes.ringcx.listener_config import ListenerConfig

SPARE_CONNECTIONS = 100
"""Connections above the maximum of streams, so that one too many is refused and does not wait for another's end."""


def ringcx_service(
    host: Host,
    config: ListenerConfig,
    policy: AccessPolicy,
    proxy_trust: ProxyTrust,
    on_error: Callable[[Exception], None],
    captures: Captures | None,
    draining: Callable[[], bool],
) -> Service:
    """Return the gRPC side of a listener's port. ``draining`` is that of `nodes.net.grpc_connection.Service`."""
    streams = _Streams(host, config, policy, captures)

    def client_address(request: Request, remote_address: Address) -> Address:
        try:
            return proxy_trust.client_address(remote_address, request.headers)
        except ConflictingHeaders:
            policy.report_rejection("proxy_contradicts_itself", remote_address)
            raise GrpcError("INVALID_ARGUMENT", "X-Forwarded-For and Forwarded contradict.") from None

    return Service(
        {METHOD: streams.open, **health_methods([SERVICE], lambda: not not_ready(host))},
        health_routes(host),
        client_address,
        policy.report_rejection,
        on_error,
        draining,
        max_connections=min(config.max_connections + SPARE_CONNECTIONS, max(1, open_files.room().strangers // 2)),
        idle_timeout=config.start,
    )


class _Streams:
    """The streams of a listener, of which there may be ``config.max_connections``."""

    def __init__(self, host: Host, config: ListenerConfig, policy: AccessPolicy, captures: Captures | None) -> None:
        self._host = host
        self._config = config
        self._policy = policy
        self._captures = captures
        self._running: set[GrpcPeer] = set()

    def open(self, request: Request, client: Address) -> Handler:
        """Apply the access policy before anything is created for the stream. Raises `GrpcError` and `Refused`."""
        config, policy = self._config, self._policy
        self._running = {peer for peer in self._running if not peer.closed}
        if len(self._running) >= config.max_connections:
            policy.report_rejection("too_many_connections", client)
            raise Refused("too many streams", retry_after=1)
        admission = policy.admit(request, client)
        if isinstance(admission, Page):
            code: Code = "UNAUTHENTICATED" if admission.status == 401 else "PERMISSION_DENIED"
            raise GrpcError(code, admission.body.decode().strip())
        if config.secret_required and not admission.secret_place:
            admission.objection({})  # which counts the rejection
            raise GrpcError("UNAUTHENTICATED", "The metadata has no valid authorization.")
        peer = GrpcPeer(
            self._host,
            admission,
            start=config.start,
            idle=config.idle,
            speed=config.max_speed,
            bot=config.bot,
            edge=CallEdge(self._captures, request, "grpc", self._host.now()),
        )
        self._running.add(peer)
        return peer
