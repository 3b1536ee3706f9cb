"""Whole calls on the virtual clock: the load generator's audio through a graph file's real nodes, without sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowcore import Config, Duration, Format, Host, Listener, Packet, node
from flowcore.graph.load import load
from flowcore.graph.negotiate import compile_graph
from flowcore.graph.plan import Plan
from nodes.audio.g711 import RATE
from tests.support.live import ROOT
from tools.load import call_id, mulaw

MESSAGE = 160
TRACKS = ("agent", "customer")


class CallsConfig(Config):
    calls: int = 1
    length: Duration = Duration("1s")
    message: Duration = Duration("20ms")


@node("calls")
class Calls(Listener[Packet, CallsConfig]):
    """Calls at real-time pace, all at once; each is the load generator's of its number."""

    @classmethod
    def gives(cls, config: Any) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    async def run(self, host: Host) -> None:
        size = self.config.message.samples(RATE)
        began = host.now()
        inlets = [host.accept({"call_id": call_id(call)}) for call in range(self.config.calls)]
        audio = [[mulaw(call, track, float(self.config.length)) for track in TRACKS] for call in range(len(inlets))]
        for number in range(self.config.length.samples(RATE) // size):
            await host.sleep(began + (number + 1) * size / RATE - host.now())
            for inlet, said in zip(inlets, audio, strict=True):
                if not inlet.ended:
                    for track, data in zip(TRACKS, said, strict=True):
                        piece = data[number * size : (number + 1) * size]
                        inlet.push(Packet(track, number, piece, host.now()))
        for inlet in inlets:
            inlet.end("stop")


def with_calls(plan: Plan, listener: type[Listener[Any]] = Calls, **config: Any) -> Plan:
    """The plan with another listener in the place of the socket."""
    first = replace(plan.listener, cls=listener, config=listener.Config(**config))
    return replace(plan, nodes={**plan.nodes, first.name: first})


def recording(folder: Path, settings: Iterable[str] = (), **config: Any) -> Plan:
    """graphs/record.yaml with calls of that ``config``; call n's file is ``load-00000n.wav``."""
    path = ROOT / "graphs" / "record.yaml"
    return with_calls(compile_graph(load(path, [f"wav.path={folder}/{{call_id}}.wav", *settings])), **config)


def with_branch(plan: Plan, name: str, cls: type[Any], after: str, **config: Any) -> Plan:
    """The plan with one more node behind ``after``, as the planner would put it in: a sink with its own border."""
    from flowcore.diagnostics import Position
    from flowcore.graph.model import Graph, GraphNode, Input

    at = Position(1, 1)
    nodes = {
        step.name: GraphNode(
            step.name,
            step.cls,
            step.config,
            tuple(Input(upstream, _port(plan, upstream, port), at) for upstream, port in step.inputs),
            None,
            None,
            at,
        )
        for step in plan.nodes.values()
    }
    nodes[name] = GraphNode(name, cls, cls.Config(**config), (Input(after, "", at),), None, None, at)
    return compile_graph(Graph(plan.name, "", nodes))


def _port(plan: Plan, name: str, number: int) -> str:
    outputs = plan.nodes[name].cls.outputs
    return outputs[number] if outputs else ""


def nth(number: int) -> Callable[[str], bool]:
    """Says of a flow whether it is the ``number``-th of a virtual run."""
    return lambda flow: flow.endswith(f"-flow{number}")
