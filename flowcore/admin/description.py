"""The graph of a run, as the admin API shows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flowcore.call_log.rows import Versions
from flowcore.graph.explain import explain
from flowcore.graph.plan import Plan
from flowcore.graph.svg import svg


def describe(plan: Plan, text: str, settings: list[str]) -> dict[str, Any]:
    """Return versions, the ``text`` of the graph file, and the plan as data and as a picture (SVG)."""
    explained = explain(plan)
    return {**vars(Versions.of(plan, settings)), "text": text, "plan": asdict(explained), "picture": svg(explained)}
