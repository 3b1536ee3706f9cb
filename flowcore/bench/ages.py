"""Ages of the stamped packets (`flowcore.stamps`) that a listener gives."""

from __future__ import annotations

from flowcore import stamps
from flowcore.audio import Packet
from flowcore.engine.flow import Flow
from flowcore.graph.plan import Plan


class AgeProbe:
    """Notes the age of each stamped packet (`flowcore.stamps`) that a listener gives, of all flows."""

    def __init__(self, plan: Plan) -> None:
        """Raises `ValueError` when the listener gives no packets, which alone carry stamps."""
        self.ages: list[float] = []
        """In seconds."""
        self._listener = plan.listener.name
        if plan.listener.gives[0].kind != "packets":
            raise ValueError(f"{plan.listener.cls.name} gives no packets")

    def attach(self, flow: Flow) -> None:
        """Probe a flow that opens."""
        flow.runs[self._listener].add_probe(0, self._take)

    def _take(self, packet: Packet) -> None:
        seconds = stamps.age(packet.data)
        if seconds is not None:
            self.ages.append(seconds)
