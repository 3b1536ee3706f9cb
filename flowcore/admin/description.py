"""The graph of a run, as the admin API shows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flowcore.call_log.rows import versions
from flowcore.graph.drawing import draw
from flowcore.graph.explain import explain
from flowcore.graph.plan import Plan
from flowcore.graph.svg import svg


def describe(plan: Plan) -> dict[str, Any]:
    """Return versions, the text of the graph file, and the plan as data, as a picture (SVG) and as its shapes."""
    explained = explain(plan)
    text = plan.sources[plan.name]
    drawing = asdict(draw(explained, numbers=True))
    return {**versions(plan), "text": text, "plan": asdict(explained), "picture": svg(explained), "drawing": drawing}
