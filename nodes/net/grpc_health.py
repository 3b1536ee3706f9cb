"""The health service of gRPC, grpc.health.v1.Health, with which load balancers probe a port.

Its two messages have one field each, so their bytes are written out here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any

import grpc

SERVICE = "grpc.health.v1.Health"

SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
"""HealthCheckResponse: field 1, the status."""


def health_handler(
    services: Collection[str], serving: Callable[[], bool], slot: Callable[[], Awaitable[None]]
) -> grpc.GenericRpcHandler:
    """Return the handler of a server that runs ``services``. ``slot`` waits until ``serving`` may have changed."""
    known = {b"", b"\x0a\x00", *map(_request, services)}  # the empty name stands for the whole server

    def status() -> bytes:
        return SERVING if serving() else NOT_SERVING

    async def check(request: bytes, context: Any) -> bytes:
        if request not in known:
            await context.abort(grpc.StatusCode.NOT_FOUND, "This service does not run here.")
        return status()

    async def watch(request: bytes, context: Any) -> AsyncIterator[bytes]:
        told = b""
        while True:
            now = status() if request in known else SERVICE_UNKNOWN
            if now != told:
                told = now
                yield now
            await slot()

    methods = {
        "Check": grpc.unary_unary_rpc_method_handler(check),
        "Watch": grpc.unary_stream_rpc_method_handler(watch),
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def _request(service: str) -> bytes:
    """Return a HealthCheckRequest: field 1, the name."""
    return bytes([0x0A, len(service)]) + service.encode()
