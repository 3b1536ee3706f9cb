"""The public test kit: run one node, or a whole graph on a virtual clock, and inject faults into either.

- `flowcore.testing.nodes`: run one node, and make audio for it
- `flowcore.testing.listeners`: run one listener, and collect its sessions
- `flowcore.testing.graphs`: run a whole graph on a virtual clock
- `flowcore.testing.threads`: threads on that clock, for nodes that are slow or stuck
- `flowcore.testing.faults`: nodes that are slow, stuck or broken
- `flowcore.tcp_proxy`: a TCP proxy that slows down, freezes or resets connections
- `flowcore.testing.disk`: a disk that is slow, full, broken or loses its power
"""

from flowcore.tcp_proxy import Proxy
from flowcore.testing.disk import FakeDisk
from flowcore.testing.faults import Fail, Slow, Stuck, inject, with_fault
from flowcore.testing.graphs import FlowResult, GraphResult, run_graph, run_plan
from flowcore.testing.listeners import Received, collecting_sink, run_listener
from flowcore.testing.nodes import SESSION, NodeHarness, duration, joined, run, silence, tone
from flowcore.testing.threads import VirtualPool, spend

__all__ = [
    "SESSION",
    "Fail",
    "FakeDisk",
    "FlowResult",
    "GraphResult",
    "NodeHarness",
    "Proxy",
    "Received",
    "Slow",
    "Stuck",
    "VirtualPool",
    "collecting_sink",
    "duration",
    "inject",
    "joined",
    "run",
    "run_graph",
    "run_listener",
    "run_plan",
    "silence",
    "spend",
    "tone",
    "with_fault",
]
