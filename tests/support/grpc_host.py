"""A host, an inlet and a report for a gRPC peer without an engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from flowcore import Refused
from flowcore.addresses import normalize_address
from flowcore.engine.admission import LocalConnectionCounter
from nodes.ringcx.access_policy import AccessPolicy, Admission
from nodes.ringcx.grpc_peer import GrpcPeer
from nodes.ringcx.listener_config import ListenerConfig


class CountingReport:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.events: list[str] = []

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        self.counts[reason] += chunks

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None: ...

    def event(self, event: str, **data: Any) -> None:
        self.events.append(event)


class Inlet:
    flow = "f"

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes = attributes
        self.report = CountingReport()
        self.packets: list[Any] = []
        self.paused = False
        self.reason = ""

    @property
    def ended(self) -> bool:
        return bool(self.reason)

    def push(self, packet: Any) -> None:
        self.packets.append(packet)

    def end(self, reason: str) -> None:
        self.reason = self.reason or reason


class Host:
    """The part of a host that a gRPC peer needs, with a clock in the hand of the test."""

    def __init__(self) -> None:
        self.time = 100.0
        self.report = CountingReport()
        self.draining = False
        self.full = False
        self.inlet: Inlet | None = None

    def now(self) -> float:
        return self.time

    def admit(self, address: str = "") -> None:
        if self.full:
            raise Refused("busy", retry_after=5)

    def accept(self, attributes: dict[str, str], address: str = "") -> Inlet:
        self.admit()
        self.inlet = Inlet(attributes)
        return self.inlet


def peer(host: Host, rules: ListenerConfig = ListenerConfig(), **limits: float) -> GrpcPeer:  # noqa: B008
    limits = {"start": 30.0, "idle": 3600.0, "speed": 4.0} | limits
    return GrpcPeer(
        host,
        Admission(AccessPolicy(rules, host.report, LocalConnectionCounter()), normalize_address("192.0.2.1")),
        **limits,
    )  # type: ignore[arg-type]
