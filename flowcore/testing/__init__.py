"""The public test kit: run one node, or one whole graph on a virtual clock, and make trouble for either.

- `flowcore.testing.nodes`: one node between two hands, and sound to put into it
- `flowcore.testing.listeners`: one listener, and what its sessions bring
- `flowcore.testing.graphs`: a whole graph on a virtual clock
- `flowcore.testing.threads`: threads on that clock, in which nodes may be slow or stuck
- `flowcore.testing.faults`: nodes that are slow, stuck or broken, and processes that are killed
- `flowcore.tcp_proxy`: a TCP proxy that delays, slows down, freezes or resets connections
- `flowcore.testing.disk`: a disk that is slow, full, broken or loses its power
"""

from flowcore.tcp_proxy import Proxy
from flowcore.testing.disk import FakeDisk
from flowcore.testing.faults import Fail, Killed, Slow, Stuck, inject, kill_at_random, with_fault
from flowcore.testing.graphs import FlowResult, GraphResult, run_graph, run_plan
from flowcore.testing.listeners import Heard, hear, keeper
from flowcore.testing.nodes import SESSION, NodeHarness, duration, joined, run, silence, tone
from flowcore.testing.threads import VirtualPool, spend

__all__ = [
    "SESSION",
    "Fail",
    "FakeDisk",
    "FlowResult",
    "GraphResult",
    "Heard",
    "Killed",
    "NodeHarness",
    "Proxy",
    "Slow",
    "Stuck",
    "VirtualPool",
    "duration",
    "hear",
    "inject",
    "joined",
    "keeper",
    "kill_at_random",
    "run",
    "run_graph",
    "run_plan",
    "silence",
    "spend",
    "tone",
    "with_fault",
]
