"""A gRPC server for the streams of RingCX, in the engine's own event loop: each stream is one coroutine that reads.

gRPC's core does HTTP/2, TLS and keepalive in threads of its own, and wakes the loop for whole messages.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import grpc
import grpc.aio
from websockets.datastructures import Headers
from websockets.http11 import Request

from flowcore import CannotStart, Host, Refused
from nodes.net.connection import CLOSE_TIMEOUT
from nodes.net.peer import Page
from nodes.net.proxy_trust import Address, ConflictingHeaders, ProxyTrust, normalize_address
from nodes.net.tls import TlsFiles
from nodes.ringcx.access_policy import AccessPolicy, Admission
from nodes.ringcx.grpc_peer import GrpcPeer
from nodes.ringcx.grpc_protocol import SERVICE
from nodes.ringcx.listener_config import ListenerConfig

MESSAGE_LIMIT = 64 * 1024
"""Bytes of a message: 80 times what RingCX sends; beyond it the stream ends with RESOURCE_EXHAUSTED."""

METADATA_LIMIT = 16 * 1024
"""Bytes of metadata of a stream."""

DOUBT = 1.0
"""Seconds after which a stream that ended before its segments' stops is believed not to be a connection's end."""

SPARE = 100
"""Streams and connections above those that are taken: one too many is told so, and does not wait for another's end."""

OPTIONS = {
    "grpc.max_receive_message_length": MESSAGE_LIMIT,
    "grpc.max_send_message_length": MESSAGE_LIMIT,
    "grpc.max_metadata_size": METADATA_LIMIT,
    "grpc.http2.bdp_probe": 0,  # windows stay at HTTP/2's 64 KiB: 8 s of a call that is not read
    "grpc.keepalive_time_ms": 20_000,  # a peer that vanished is found within 30 s
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.http2.ping_timeout_ms": 10_000,  # the one that counts in newer versions: 60 s if nobody says less
    "grpc.keepalive_permit_without_calls": 0,
    "grpc.http2.min_ping_interval_without_data_ms": 5_000,  # a client in a hold may ask as often as we do, and more
    "grpc.so_reuseport": 1,  # the port is held by a socket that does not listen: see `Server.open`
}


class Server:
    """Listens, and gives each stream that is let in a `GrpcPeer`; ``make`` makes it of what the doorman knows."""

    def __init__(
        self,
        host: Host,
        config: ListenerConfig,
        doorman: AccessPolicy,
        proxy_trust: ProxyTrust,
        make: Callable[[Admission], GrpcPeer],
    ) -> None:
        self._host = host
        self._config = config
        self._doorman = doorman
        self._proxy_trust = proxy_trust
        self._make = make
        self._streams: dict[GrpcPeer, asyncio.Task[Any]] = {}
        self._pair: Any = None
        self._stopping: asyncio.Task[None] | None = None
        limits = {
            "grpc.server_handshake_timeout_ms": round(config.handshake * 1000),
            "grpc.max_connection_idle_ms": round(config.start * 1000),  # without a stream: it would take a call's place
            "grpc.max_concurrent_streams": config.max_connections + SPARE,
            "grpc.max_allowed_incoming_connections": config.max_connections + SPARE,
        }
        self._server = grpc.aio.server(options=[*OPTIONS.items(), *limits.items()])
        method = grpc.stream_unary_rpc_method_handler(self._stream)  # bytes, so that a bad message is ours to judge
        handler = grpc.method_handlers_generic_handler(SERVICE, {"Stream": method})
        self._server.add_generic_rpc_handlers((handler,))

    async def open(self) -> int:
        """Listen; returns the port's number. Raises `CannotStart`.

        gRPC binds its own socket. So the engine's, which workers share, only holds the port, and all processes' gRPC
        sockets stand beside it (SO_REUSEPORT): nobody else can take the port, and the kernel spreads the connections.
        """
        config = self._config
        with self._host.listen(config.host, config.port) as held:
            number = int(held.getsockname()[1])
            if not number:
                raise CannotStart("workers cannot share a port that nobody chose: give its number", field="port")
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
                held.shutdown(socket.SHUT_RDWR)  # or it would get connections too
        await self._server.start()
        return number

    def poll(self) -> None:
        """Once a slot: end the streams that are to end, and take no new ones once the process stops."""
        now = self._host.now()
        for peer, task in self._streams.items():
            peer.poll(now)
            if peer.verdict:
                task.cancel()
        if self._host.draining and self._stopping is None:
            self._stopping = asyncio.create_task(self._server.stop(CLOSE_TIMEOUT))

    async def close(self) -> None:
        """End all streams."""
        if self._stopping is not None:
            self._stopping.cancel()
        await self._server.stop(None)

    def reload(self) -> None:
        """Read the certificate anew, for connections from now on. Raises `CannotStart`, and keeps what it has."""
        if self._config.tls is not None and self._proxy_trust.certificate is not None:
            self._proxy_trust.certificate.reload()
            self._pair = _pair(self._config.tls)

    def _credentials(self, files: TlsFiles) -> grpc.ServerCredentials:
        self._pair = told = _pair(files)

        def fetch() -> Any:  # before each handshake, in a thread of gRPC; None: nothing is new
            nonlocal told
            if told is self._pair:
                return None
            told = self._pair
            return told

        return grpc.dynamic_ssl_server_credentials(told, fetch, require_client_authentication=False)

    async def _stream(self, _: Any, context: Any) -> bytes:
        """One stream, from its metadata to its end."""
        peer = await self._let_in(context)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # for the type checker
        self._streams[peer] = task
        host, reason = self._host, "cancelled"
        try:
            while not peer.verdict:
                while not peer.wants(host.now()):
                    await host.slot()
                message = await context.read()
                if message is grpc.aio.EOF:
                    until = host.now() + (DOUBT if peer.speaking else 0.0)
                    await host.slot()  # in which this is cancelled if it was the connection that ended, not the stream
                    while host.now() < until:  # or later, where gRPC's own threads get no time
                        await host.slot()
                    reason = "stop"
                    return b""
                peer.receive(message, host.now())
        except asyncio.CancelledError:
            if not peer.verdict:
                raise  # the peer cancelled, or is gone
            task.uncancel()
        finally:
            del self._streams[peer]
            peer.end(reason)
        code, text = peer.verdict
        if code != "OK":
            await context.abort(grpc.StatusCode[code], text)
        return b""

    async def _let_in(self, context: Any) -> GrpcPeer:
        """Ask the doorman, before anything is made for the stream; raises what ends the stream if it says no."""
        request = Request("/", Headers(_texts(context.invocation_metadata())))
        remote_address = _neighbour(context.peer())
        try:
            if not self._proxy_trust.accepts(remote_address):
                self._doorman.turned_away("no_trusted_proxy", remote_address)
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "This port speaks with its proxies only.")
            if len(self._streams) >= self._config.max_connections:
                raise Refused("too many streams", retry_after=1)
            visit = self._doorman.ask(request, self._proxy_trust.client_address(remote_address, request.headers))
            if isinstance(visit, Page):
                unknown = visit.status == 401
                code = grpc.StatusCode.UNAUTHENTICATED if unknown else grpc.StatusCode.PERMISSION_DENIED
                await context.abort(code, visit.body.decode().strip())
            elif self._doorman.rules.required and not visit.place:
                visit.objection({})  # which counts it
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "The metadata has no valid authorization.")
            else:
                return self._make(visit)
        except ConflictingHeaders:
            self._doorman.turned_away("proxy_contradicts_itself", remote_address)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "X-Forwarded-For and Forwarded contradict.")
        except Refused as refused:
            await context.abort(grpc.StatusCode.UNAVAILABLE, refused.reason)
        raise AssertionError("abort returned")


def _pair(files: TlsFiles) -> Any:
    return grpc.ssl_server_certificate_configuration([(files.key.read_bytes(), files.cert.read_bytes())])


def _texts(metadata: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in metadata or () if isinstance(value, str)]


def _neighbour(peer: str) -> Address:
    """The address in gRPC's ``ipv4:127.0.0.1:5000`` or ``ipv6:%5B::1%5D:5000``."""
    with suppress(ValueError):
        return normalize_address(unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]"))
    return normalize_address("0.0.0.0")  # noqa: S104  # a Unix socket, or what gRPC may name one day: nobody's address
