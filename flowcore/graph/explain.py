"""Explains a plan as plain data: chains, borders, formats, shared resources, latency and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowcore.audio import SAMPLE_BYTES, TELEPHONE_RATE
from flowcore.formats import Format
from flowcore.graph.model import OnError, OnFull
from flowcore.graph.plan import Plan, PlanNode
from flowcore.resource import Resource
from flowcore.units import Duration

SLOT = Duration("20ms")
"""The engine's default slot (``flowcore run --slot``): a chunk that waits for the engine waits one slot at most."""

CALL_BYTES = 29 << 10
"""Bytes of a call without nodes: what remains of the 42 KiB that `make bench` measures for graphs/record.yaml."""
NODE_BYTES = 1600
QUEUE_BYTES = 2700
"""Bytes of a node and of an empty queue, as tracemalloc measures them."""

PACKETS_BYTES = 50 * 250 + TELEPHONE_RATE
"""Bytes for each second of packets: 50 packets with 160 bytes of data in objects of 250 bytes."""
TEXT_BYTES = 512
"""Bytes of a text chunk: a sentence, its track and times."""


@dataclass(frozen=True)
class Border:
    """The queue before a chain. ``bytes`` is its size when full, computed from its bound and the format."""

    max: str
    chunks: int
    on_full: OnFull
    bytes: int


@dataclass(frozen=True)
class Step:
    """A node. ``inputs`` are written as in a graph; ``gives`` maps outputs (empty for the only one) to formats."""

    name: str
    use: str
    inputs: tuple[str, ...]
    caps: str
    gives: Mapping[str, str]
    inserted: bool
    on_error: OnError
    latency: float
    typical_latency: float


@dataclass(frozen=True)
class Chain:
    """Nodes that call each other directly, in the event loop or, behind a border, in a thread."""

    runs: str
    border: Border | None
    nodes: tuple[Step, ...]


@dataclass(frozen=True)
class Path:
    """The slowest way to a node at which the graph ends: its longest delays by name, and their sum, in seconds.

    ``typical`` is the usual delay on the way that is usually the slowest.
    """

    to: str
    delays: tuple[tuple[str, float], ...]
    seconds: float
    typical: float


@dataclass(frozen=True)
class Memory:
    """Bytes of one call: usually, and at the longest delays with every queue full.

    A node holds the audio that it delays.
    """

    usual: int
    most: int


@dataclass(frozen=True)
class Explanation:
    """An explained plan. ``shared`` are the resources that all calls share, each with the nodes that use it."""

    graph: str
    live: bool
    chains: tuple[Chain, ...]
    shared: tuple[tuple[str, tuple[str, ...]], ...]
    latency: tuple[Path, ...]
    memory: Memory


def explain(plan: Plan) -> Explanation:
    """Explain a plan, without opening anything."""
    chains: dict[int, list[PlanNode]] = {}
    for node in plan.nodes.values():
        chains.setdefault(node.chain, []).append(node)
    explained = tuple(_chain(nodes, plan) for _, nodes in sorted(chains.items()))
    queues = sum(chain.border.bytes for chain in explained if chain.border)
    live = plan.listener.cls.live
    empty = (
        CALL_BYTES + NODE_BYTES * len(plan.nodes) + QUEUE_BYTES * sum(chain.border is not None for chain in explained)
    )
    nodes = plan.nodes.values()
    usual = empty + sum(_held(node, _typical_latency(node)) for node in nodes)
    most = empty + queues + sum(_held(node, _latency(node)) for node in nodes)
    return Explanation(plan.name, live, explained, _shared(plan), _paths(plan, live), Memory(usual, most))


def wire(plan: Plan, node: str, output: int) -> str:
    """An output, written as in a graph."""
    outputs = plan.nodes[node].cls.outputs
    return f"{node}.{outputs[output]}" if outputs else node


def _chain(nodes: list[PlanNode], plan: Plan) -> Chain:
    head = nodes[0]
    runs = "event loop" if head.border is None else "thread"
    return Chain(runs, _border(head), tuple(_step(node, plan) for node in nodes))


def _border(head: PlanNode) -> Border | None:
    border = head.border
    if border is None:
        return None
    text = head.given is not None and head.given.kind == "text"
    size = border.chunks * TEXT_BYTES if text else round(border.seconds * _rate(head.given))
    return Border(str(Duration(border.seconds)), border.chunks, border.on_full, size)


def _rate(form: Format | None) -> int:
    """Bytes of one second in this format."""
    if form is None or form.kind == "packets":
        return PACKETS_BYTES
    return form.rate * SAMPLE_BYTES.get(form.encoding, 4) * (2 if form.layout == "stereo" else 1)


def _held(node: PlanNode, seconds: float) -> int:
    """Bytes of the audio that a node delays by so many seconds."""
    if node.given is None or node.given.kind == "text":
        return 0
    return round(seconds * _rate(node.given) * (2 if node.given.layout == "tracks" else 1))


def _step(node: PlanNode, plan: Plan) -> Step:
    inputs = tuple(wire(plan, *source) for source in node.inputs)
    gives = {port: str(form) for port, form in zip(node.cls.outputs or ("",), node.gives, strict=False)}
    caps = str(node.given or "")
    latencies = _latency(node), _typical_latency(node)
    return Step(node.name, node.cls.name, inputs, caps, gives, node.inserted, node.on_error, *latencies)


def _latency(node: PlanNode) -> float:
    return 0.0 if node.given is None else float(node.cls.latency(node.config, node.given))


def _typical_latency(node: PlanNode) -> float:
    return 0.0 if node.given is None else float(node.cls.typical_latency(node.config, node.given))


def _shared(plan: Plan) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The resources by type; equal ones are one, as the engine opens them."""
    resources: list[tuple[Resource, list[str]]] = []
    for node in plan.nodes.values():
        resource = node.cls.make_resource(node.config)
        if resource is None:
            continue
        users = next((users for same, users in resources if same == resource), None)
        if users is None:
            resources.append((resource, [node.name]))
        else:
            users.append(node.name)
    return tuple((type(resource).__name__, tuple(users)) for resource, users in resources)


def _paths(plan: Plan, live: bool) -> tuple[Path, ...]:
    slowest: dict[str, list[tuple[str, float]]] = {}
    typical: dict[str, float] = {}
    ends = dict.fromkeys(plan.nodes)
    for node in plan.nodes.values():
        before: list[tuple[str, float]] = []
        for upstream, _ in node.inputs:
            ends.pop(upstream, None)
            before = max(before, slowest[upstream], key=_sum)
        own = [("slot", float(SLOT))] * (node.border is not None or (live and not node.inputs))
        held = [(node.name, _latency(node))] if _latency(node) else []
        slowest[node.name] = [*before, *own, *held]
        usual = max((typical[upstream] for upstream, _ in node.inputs), default=0.0)
        typical[node.name] = usual + _sum(own) / 2 + _typical_latency(node)  # on average, half a slot
    return tuple(Path(name, tuple(slowest[name]), _sum(slowest[name]), typical[name]) for name in ends)


def _sum(delays: Any) -> float:
    return float(sum(seconds for _, seconds in delays))
