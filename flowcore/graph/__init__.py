"""Graph files become plans: YAML with positions → checked graph → negotiated formats → plan."""

from flowcore.graph.load import load as load_graph
from flowcore.graph.negotiate import compile_graph
from flowcore.graph.plan import Plan

__all__ = ["Plan", "compile_graph", "load_graph"]
