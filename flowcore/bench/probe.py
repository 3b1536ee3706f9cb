"""A node that the bench puts right behind the listener: how old is what arrives?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowcore.audio import Packet
from flowcore.formats import PACKETS
from flowcore.graph.plan import Plan, PlanNode
from flowcore.node import Config, Sink, node
from flowcore.stamps import age


@node("probe")
class Probe(Sink[Packet]):
    """Notes the age, in seconds, of each packet that carries a stamp (`flowcore.stamps`), of all flows."""

    caps = (PACKETS,)
    ages: list[float] = []

    def process(self, packet: Packet) -> None:
        seconds = age(packet.data)
        if seconds is not None:
            self.ages.append(seconds)


NAME = "(probe)"
"""What the probe is called in a plan; no graph can call a node so."""


def with_probe(plan: Plan) -> Plan:
    """The same plan with a probe, which the listener's chunks reach after all other nodes of the first chain.

    Raises `ValueError` when the listener gives no packets, which alone carry stamps.
    """
    listener = plan.listener
    given = listener.gives[0]
    if given.kind != "packets":
        raise ValueError(f"{listener.cls.name} gives no packets")
    probe = PlanNode(NAME, Probe, Config(), ((listener.name, 0),), given, (), None, "fail_branch", listener.chain)
    nodes: dict[str, Any] = dict(plan.nodes)
    first = {name: node for name, node in nodes.items() if node.chain == listener.chain}
    rest = {name: node for name, node in nodes.items() if node.chain != listener.chain}
    return replace(plan, nodes=first | {NAME: probe} | rest)
