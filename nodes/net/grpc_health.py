"""The health service of gRPC, grpc.health.v1.Health, with which load balancers probe a port.

Its two messages have one field each, so their bytes are written out here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Final

from websockets.http11 import Request

from flowcore.addresses import Address
from nodes.net.grpc_connection import Handler, Method, Status

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"

SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
"""HealthCheckResponse: field 1, the status."""

_OK: Final[Status] = "OK", ""
_NOT_FOUND: Final[Status] = "NOT_FOUND", "This service does not run here."


def health_methods(services: Collection[str], serving: Callable[[], bool]) -> Mapping[str, Method]:
    """Return the methods of a port that runs ``services``, by path. ``serving`` is asked for each answer."""
    known = {b"", b"\x0a\x00", *map(_request, services)}  # the empty name stands for the whole port

    def method(cls: type[_Health]) -> Method:
        def opened(request: Request, client: Address) -> Handler:
            return cls(known, serving)

        return opened

    return {CHECK: method(_Check), WATCH: method(_Watch)}


class _Health:
    """One request. A `nodes.net.grpc_connection.Handler`."""

    def __init__(self, known: Collection[bytes], serving: Callable[[], bool]) -> None:
        self.status: Status | None = None
        self.answers: deque[bytes] = deque()
        self._known = known
        self._serving = serving
        self._request: bytes | None = None

    def wants_read(self, now: float) -> bool:
        return self._request is None

    def receive(self, data: bytes, now: float) -> None:
        self._request = data

    def poll(self, now: float) -> None:
        """Answer, once there is a request."""

    def finish(self) -> None:
        if self._request is None:
            self.status = "INVALID_ARGUMENT", "The request is missing."

    def end(self, reason: str, detail: str = "") -> None:
        """Do nothing: nothing was opened."""

    @property
    def _now(self) -> bytes:
        return SERVING if self._serving() else NOT_SERVING


class _Check(_Health):
    def poll(self, now: float) -> None:
        if self._request is None or self.status is not None:
            return
        if self._request in self._known:
            self.answers.append(self._now)
            self.status = _OK
        else:
            self.status = _NOT_FOUND


class _Watch(_Health):
    _told = b""

    def poll(self, now: float) -> None:
        if self._request is None or self.answers:
            return
        state = self._now if self._request in self._known else SERVICE_UNKNOWN
        if state != self._told:
            self._told = state
            self.answers.append(state)


def _request(service: str) -> bytes:
    """Return a HealthCheckRequest: field 1, the name."""
    return bytes([0x0A, len(service)]) + service.encode()
