"""A gRPC server for RingCX's streams, in the engine's own event loop: each stream is one coroutine that reads.

gRPC's core handles HTTP/2, TLS and keepalive in its own threads, and wakes the loop for whole messages.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import grpc
import grpc.aio
from websockets.datastructures import Headers
from websockets.http11 import Request

from flowcore import CannotStart, Host, Refused, Report, open_files
from nodes.net.grpc_health import health_handler
from nodes.net.peer import Page
from nodes.net.proxy_trust import Address, ConflictingHeaders, ProxyTrust, normalize_address
from nodes.net.tls import TlsFiles
from nodes.ringcx.access_policy import AccessPolicy, Admission
from nodes.ringcx.dialog_sender import SERVICE
from nodes.ringcx.grpc_peer import GrpcPeer
from nodes.ringcx.listener_config import ListenerConfig

MAX_MESSAGE = 64 * 1024
"""Bytes of a message: 80 times RingCX's; a longer one ends the stream with RESOURCE_EXHAUSTED."""

MAX_METADATA = 16 * 1024
"""Bytes of a stream's metadata."""

EOF_GRACE = 1.0
"""Seconds to wait after a stream ended before its segments' stops: the whole connection may have been lost."""

FINISH_TIMEOUT = 24 * 3600.0
"""Seconds that running streams have once the process stops: longer than any call, as the engine ends them itself."""

SPARE_STREAMS = 100
"""Streams and connections above the maximum, so that one too many is refused and does not wait for another's end."""

OPTIONS = {
    "grpc.max_receive_message_length": MAX_MESSAGE,
    "grpc.max_send_message_length": MAX_MESSAGE,
    "grpc.max_metadata_size": MAX_METADATA,
    "grpc.http2.bdp_probe": 0,  # windows stay at HTTP/2's 64 KiB: 8 s of a call that is not read
    "grpc.keepalive_time_ms": 20_000,  # a peer that vanished is found within 30 s
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.http2.ping_timeout_ms": 10_000,  # effective in newer versions, with a default of 60 s
    "grpc.keepalive_permit_without_calls": 0,
    "grpc.http2.min_ping_interval_without_data_ms": 5_000,  # lets a client on hold ping more often than we do
    "grpc.so_reuseport": 1,  # a socket that does not listen holds the port: see `GrpcServer.open`
}


class GrpcServer:
    """Listens, and runs a `GrpcPeer` for each admitted stream. ``make_peer`` creates the peer of an admission."""

    def __init__(
        self,
        host: Host,
        config: ListenerConfig,
        policy: AccessPolicy,
        proxy_trust: ProxyTrust,
        make_peer: Callable[[Admission], GrpcPeer],
    ) -> None:
        self._host = host
        self._config = config
        self._policy = policy
        self._proxy_trust = proxy_trust
        self._make_peer = make_peer
        self._streams: dict[GrpcPeer, asyncio.Task[Any]] = {}
        self._certificate: Any = None
        self._stopping: asyncio.Task[None] | None = None
        connections = min(config.max_connections + SPARE_STREAMS, max(1, open_files.room().strangers // 2))
        limits = {
            "grpc.server_handshake_timeout_ms": round(config.handshake * 1000),
            "grpc.max_connection_idle_ms": round(config.start * 1000),  # a connection without a stream holds a place
            "grpc.max_concurrent_streams": config.max_connections + SPARE_STREAMS,
            "grpc.max_allowed_incoming_connections": connections,  # the other half is for the files of calls
        }
        self._server = grpc.aio.server(options=[*OPTIONS.items(), *limits.items()])
        method = grpc.stream_unary_rpc_method_handler(self._stream)  # raw bytes: the peer counts bad messages itself
        handler = grpc.method_handlers_generic_handler(SERVICE, {"Stream": method})
        health = health_handler([SERVICE], lambda: not host.draining, host.slot)
        self._server.add_generic_rpc_handlers((handler, health, _OtherMethods(self._reject_method)))

    async def open(self) -> int:
        """Listen; return the port number. Raises `CannotStart`.

        gRPC binds its own socket. So the engine's socket, which workers share, only holds the port against other
        programs. The gRPC sockets of all processes share the port (SO_REUSEPORT), and the kernel spreads connections.
        """
        config = self._config
        with self._host.listen(config.host, config.port) as held:
            number = int(held.getsockname()[1])
            if not number:
                raise CannotStart("workers cannot share a port chosen by the system: give its number", field="port")
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            address = f"[{config.host}]:{number}" if ":" in config.host else f"{config.host}:{number}"
            try:
                if config.tls is None:
                    self._server.add_insecure_port(address)
                else:
                    self._server.add_secure_port(address, self._credentials(config.tls))
            except RuntimeError as error:
                raise CannotStart(f"gRPC cannot listen at {address}: {error}", field="port") from None
            with suppress(OSError):  # another worker was faster
                held.shutdown(socket.SHUT_RDWR)  # else it would receive connections too
        await self._server.start()
        return number

    def poll(self) -> None:
        """Run one slot: end the streams whose peer has a status, and accept no new ones while the process stops."""
        now = self._host.now()
        for peer, task in self._streams.items():
            peer.poll(now)
            if peer.status:
                task.cancel()
        if self._host.draining and self._stopping is None:
            self._stopping = asyncio.create_task(self._server.stop(FINISH_TIMEOUT))

    async def close(self) -> None:
        """End all streams."""
        if self._stopping is not None:
            self._stopping.cancel()
        await self._server.stop(None)

    def reload(self, report: Report) -> Sequence[Path]:
        """Read the certificate again, for new connections; return the paths of its files.

        Raises `CannotStart`, and keeps the old certificate.
        """
        paths = self._proxy_trust.reload(report)
        if self._config.tls is not None:
            self._certificate = _certificate(self._config.tls)
        return paths

    def _credentials(self, files: TlsFiles) -> grpc.ServerCredentials:
        self._certificate = in_use = _certificate(files)

        def fetch() -> Any:  # called before each handshake, in a thread of gRPC; returns None for no change
            nonlocal in_use
            if in_use is self._certificate:
                return None
            in_use = self._certificate
            return in_use

        return grpc.dynamic_ssl_server_credentials(in_use, fetch, require_client_authentication=False)

    async def _stream(self, _: Any, context: Any) -> bytes:
        """Run one stream, from its metadata to its end."""
        peer = await self._admit(context)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # for the type checker
        self._streams[peer] = task
        host, reason = self._host, "cancelled"
        try:
            while not peer.status:
                while not peer.wants_read(host.now()):
                    await host.slot()
                message = await context.read()
                if message is grpc.aio.EOF:
                    until = host.now() + (EOF_GRACE if peer.dialog.has_open_segments else 0.0)
                    await host.slot()  # gRPC cancels this task meanwhile if the connection ended, not the stream
                    while host.now() < until:  # or later, if gRPC's own threads get no CPU time
                        await host.slot()
                    reason = "stop"
                    return b""
                peer.receive(message, host.now())
        except asyncio.CancelledError:
            if not peer.status:
                raise  # the peer cancelled, or is gone
            task.uncancel()
        finally:
            del self._streams[peer]
            peer.end(reason)
        code, text = peer.status
        if code != "OK":
            await context.abort(grpc.StatusCode[code], text)
        return b""

    async def _reject_method(self, _: Any, context: Any) -> None:
        self._policy.report_rejection("unknown_path", _remote_address(context.peer()))
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"This port takes {SERVICE}.")

    async def _admit(self, context: Any) -> GrpcPeer:
        """Apply the access policy before anything is created for the stream. A rejection aborts the stream."""
        metadata = context.invocation_metadata() or ()
        texts = [(name, value) for name, value in metadata if isinstance(value, str)]
        request = Request("/", Headers(texts))
        remote_address = _remote_address(context.peer())
        try:
            if not self._proxy_trust.accepts(remote_address):
                self._policy.report_rejection("no_trusted_proxy", remote_address)
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "This port speaks with its proxies only.")
            if len(self._streams) >= self._config.max_connections:
                self._policy.report_rejection("too_many_connections", remote_address)
                raise Refused("too many streams", retry_after=1)
            admission = self._policy.admit(request, self._proxy_trust.client_address(remote_address, request.headers))
            if isinstance(admission, Page):
                unknown = admission.status == 401
                code = grpc.StatusCode.UNAUTHENTICATED if unknown else grpc.StatusCode.PERMISSION_DENIED
                await context.abort(code, admission.body.decode().strip())
            elif self._config.secret_required and not admission.secret_place:
                admission.objection({})  # which counts the rejection
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "The metadata has no valid authorization.")
            else:
                return self._make_peer(admission)
        except ConflictingHeaders:
            self._policy.report_rejection("proxy_contradicts_itself", remote_address)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "X-Forwarded-For and Forwarded contradict.")
        except Refused as refused:
            await context.abort(grpc.StatusCode.UNAVAILABLE, refused.reason)
        raise AssertionError("abort returned")


class _OtherMethods(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Hands all methods to one behaviour; the last of a server's handlers."""

    def __init__(self, behaviour: Callable[[Any, Any], Awaitable[None]]) -> None:
        self._handler = grpc.stream_stream_rpc_method_handler(behaviour)

    def service(self, _: Any) -> Any:
        return self._handler


def _certificate(files: TlsFiles) -> Any:
    return grpc.ssl_server_certificate_configuration([(Path(files.key).read_bytes(), Path(files.cert).read_bytes())])


def _remote_address(peer: str) -> Address:
    """Return the address in gRPC's ``ipv4:127.0.0.1:5000`` or ``ipv6:%5B::1%5D:5000``."""
    with suppress(ValueError):
        return normalize_address(unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]"))
    return normalize_address("0.0.0.0")  # noqa: S104  # a Unix socket, or a future form: an address of no client
