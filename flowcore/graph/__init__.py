"""Graph files become plans: YAML with positions → checked graph → negotiated formats → plan."""

from flowcore.graph.load import load as load_graph
from flowcore.graph.negotiate import compile_graph

__all__ = ["compile_graph", "load_graph"]
