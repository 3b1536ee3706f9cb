"""The graph in a worker's job: the texts that the supervisor checked, because the files may have changed since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.graph.plan import Plan


def graph_job(plan: Plan, version: int) -> dict[str, Any]:
    """Return what a worker needs to make the plan, and the number of its version."""
    return {"path": plan.name, "sources": dict(plan.sources), "settings": list(plan.settings), "version": version}


def plan_of(job: Mapping[str, Any]) -> Plan:
    """Make the plan of a job. Raises `GraphError`."""
    path, sources = job["path"], job["sources"]
    return compile_graph(load_text(sources[path], path, job["settings"], others=sources))
