"""One gRPC stream under examination: accepts everything."""

from __future__ import annotations

from collections import deque

from websockets.http11 import Request

from nodes.doctor.grpc_examination import GrpcExamination
from nodes.doctor.probe import Probe, Setup
from nodes.net.grpc_connection import Status


class GrpcProbe(Probe):
    """A `nodes.net.grpc_connection.Handler` that accepts everything."""

    def __init__(self, request: Request, client: str, setup: Setup) -> None:
        super().__init__(request, client, setup, GrpcExamination(request, client, setup.now(), setup.credentials))
        self.status: Status | None = None
        self.answers: deque[bytes] = deque()

    def wants_read(self, now: float) -> bool:
        return True

    def receive(self, data: bytes, now: float) -> None:
        self.take(data, now)

    def poll(self, now: float) -> None:
        """Do nothing: there are no limits."""

    def finish(self) -> None:
        self.status = "OK", ""

    def end(self, reason: str, detail: str = "") -> None:
        self.conclude(reason, "doctor" if self._interrupted else "peer", detail=detail)
