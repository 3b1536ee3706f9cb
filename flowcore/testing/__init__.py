"""The public test kit: run one node, or one whole graph on a virtual clock, and make trouble for either.

- `flowcore.testing.nodes`: one node between two hands, and sound to put into it
- `flowcore.testing.graphs`: a whole graph on a virtual clock
- `flowcore.testing.faults`: nodes that are slow, stuck or broken, and processes that are killed
- `flowcore.testing.proxy`: a network that is slow, cuts, stops or resets
- `flowcore.testing.disk`: a disk that is slow, full, broken or loses its power
"""

from flowcore.testing.graphs import FlowResult, GraphResult, run_graph, run_plan
from flowcore.testing.nodes import SESSION, NodeHarness, duration, joined, run, silence, tone

__all__ = [
    "SESSION",
    "FlowResult",
    "GraphResult",
    "NodeHarness",
    "duration",
    "joined",
    "run",
    "run_graph",
    "run_plan",
    "silence",
    "tone",
]
