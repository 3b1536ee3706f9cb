"""A picture of a plan as SVG, from top to bottom: chains as frames, queues on their upper edge, formats on the wires.

Two nested layouts: the nodes of each chain, then the chains. The width of a text is estimated from its length, so no
font is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from statistics import fmean

from flowcore.graph.explain import Chain, Explanation, Step
from flowcore.graph.layout import Box, Edge, Layout, Point, layered
from flowcore.graph.picture import Wire, bound, wires

NAME, SMALL = 13, 11  # font sizes
WIDE = 0.62  # width of a character relative to the font's size, for wide sans-serif fonts
NODE, LABEL, QUEUE = 38, 15, 20  # heights
PADDING, MARGIN = 14, 16
KEY = "dashed: put in by flowcore · yellow: a queue, its bound, and what it does when full"

DEFINITIONS = f"""<style>
text {{ font-family: 'DejaVu Sans', Verdana, Helvetica, Arial, sans-serif; text-anchor: middle; fill: #1e293b }}
.name {{ font-size: {NAME}px; font-weight: bold }} .small {{ font-size: {SMALL}px }} .dim {{ fill: #64748b }}
.left {{ text-anchor: start }}
.chain {{ fill: #f8fafc; stroke: #94a3b8 }} .node {{ fill: #ffffff; stroke: #475569 }}
.source {{ fill: #dbeafe }} .sink {{ fill: #dcfce7 }} .inserted {{ stroke-dasharray: 4 3 }}
.queue {{ fill: #fde68a; stroke: #b45309 }} .wire {{ fill: none; stroke: #475569; stroke-width: 1.4 }}
</style>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#475569"/></marker></defs>
<rect width="100%" height="100%" fill="#ffffff"/>"""


@dataclass(frozen=True)
class _Frame:
    """A laid-out chain: the places of its nodes and labels, and those where its wires leave it below."""

    chain: Chain
    layout: Layout
    labels: dict[str, str]
    exits: dict[str, list[str]]

    @property
    def above(self) -> float:
        """Room over the first node; a queue sits on the upper edge itself."""
        return 0 if self.chain.border else PADDING

    @property
    def box(self) -> Box:
        below = PADDING + 4 if self.chain.border else PADDING  # room for the text that says where it runs
        return Box(self.layout.width + 2 * PADDING, self.above + self.layout.height + below)


def svg(explained: Explanation) -> str:
    """The whole picture, as the text of a file."""
    all_wires = list(wires(explained))
    frames = {str(number): _frame(chain, all_wires) for number, chain in enumerate(explained.chains)}
    edges: list[Edge] = []
    leaves: dict[Edge, list[float]] = {}
    starts: dict[tuple[Edge, str], float] = {}
    for upper, frame in frames.items():
        for label, targets in frame.exits.items():
            x = frame.layout.boxes[f"exit {label}"].x - frame.layout.width / 2
            for lower, other in frames.items():
                if other.chain.nodes[0].name in targets:
                    edges.append((upper, lower))
                    leaves.setdefault((upper, lower), []).append(x)
                    starts[(upper, lower), label] = x
    means = {edge: fmean(offsets) for edge, offsets in leaves.items()}
    boxes = {name: frame.box for name, frame in frames.items()}
    outer = layered(boxes, list(dict.fromkeys(edges)), gap=28, between=38, leaves=means)
    # The key is never wider than the picture.
    width = max(outer.width, len(KEY) * SMALL * WIDE) + 2 * MARGIN
    height = outer.height + 2 * MARGIN + 50
    left, top = (width - outer.width) / 2, MARGIN + 28
    body: list[str] = [_text(width / 2, MARGIN + 10, explained.graph, "name")]
    for name, frame in frames.items():
        box = outer.boxes[name]
        body += _drawn(frame, left + box.x - box.width / 2, top + box.y)
    for (edge, _), x in starts.items():
        points = [(left + px, top + py) for px, py in outer.routes[edge]]
        begin = left + outer.boxes[edge[0]].x + x
        points[:2] = [(begin, y) for _, y in points[:2]]
        body.append(_wire(points, arrow=True))
    body.append(_text(width / 2, height - MARGIN, KEY, "small dim"))
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<title>{escape(explained.graph)}</title>'
    return "\n".join([head, DEFINITIONS, *body, "</svg>", ""])


def _frame(chain: Chain, all_wires: Iterable[Wire]) -> _Frame:
    """Lay out a chain. Each output's format is a box too, for room; wires leave the chain through ``exit`` boxes."""
    inside = {step.name for step in chain.nodes}
    boxes = {step.name: Box(_node_width(step), NODE) for step in chain.nodes}
    edges: list[Edge] = []
    if chain.border:
        boxes = {"queue": Box(len(bound(chain)) * SMALL * WIDE + 24, QUEUE)} | boxes
        edges.append(("queue", chain.nodes[0].name))
    labels: dict[str, str] = {}
    exits: dict[str, list[str]] = {}
    for wire in all_wires:
        if wire.source not in inside:
            continue
        label = f"label {wire.source}.{wire.port}"
        if label not in boxes:
            labels[label] = wire.label
            boxes[label] = Box(len(wire.label) * SMALL * WIDE + 8, LABEL)
            edges.append((wire.source, label))
        if not wire.queued:
            edges.append((label, wire.target))
            continue
        if label not in exits:
            boxes[f"exit {label}"] = Box(0, 0)
            edges.append((label, f"exit {label}"))
        exits.setdefault(label, []).append(wire.target)
    bottom = [f"exit {label}" for label in exits]
    return _Frame(chain, layered(boxes, edges, gap=18, between=14, bottom=bottom), labels, exits)


def _drawn(frame: _Frame, x: float, y: float) -> Iterator[str]:
    """A frame and its content, with the upper left corner at ``x``, ``y``."""
    box = frame.box
    chain = frame.chain
    edge = y + (QUEUE / 2 if chain.border else 0)
    yield _rect(x, edge, box.width, y + box.height - edge, "chain", 8)
    yield _text(x + 8, y + box.height - 4 if chain.border else y + 15, chain.runs, "small dim left")
    x, y = x + PADDING, y + frame.above
    for (upper, lower), points in frame.layout.routes.items():
        moved = [(x + px, y + py) for px, py in points]
        if lower.startswith("exit "):
            moved.append((moved[-1][0], y + box.height - frame.above))
        yield _wire(moved, arrow=not lower.startswith(("label ", "exit ")) and upper != "queue")
    kinds = {step.name: step for step in chain.nodes}
    for name, at in frame.layout.boxes.items():
        left, top = x + at.x - at.width / 2, y + at.y
        if name in frame.labels:
            yield _rect(left, top, at.width, at.height, "chain", 0, stroke=False)
            yield _text(x + at.x, top + 11.5, frame.labels[name], "small")
        elif name == "queue":
            yield _rect(left, top, at.width, at.height, "queue", 0)
            bars = f"M{left + 5:.1f},{top:.1f} v{QUEUE} M{left + at.width - 5:.1f},{top:.1f} v{QUEUE}"
            yield f'<path class="queue" d="{bars}"/>'
            yield _text(x + at.x, top + 14, bound(chain), "small")
        elif name in kinds:
            yield _rect(left, top, at.width, at.height, f"node {_kind(kinds[name])}", 6)
            yield _text(x + at.x, top + 16, name, "name")
            yield _text(x + at.x, top + 31, kinds[name].use, "small dim")


def _kind(step: Step) -> str:
    if step.inserted:
        return "inserted"
    return "source" if not step.inputs else "" if step.gives else "sink"


def _node_width(step: Step) -> float:
    return max(90.0, len(step.name) * NAME * (WIDE + 0.08) + 20, len(step.use) * SMALL * WIDE + 20)


def _wire(points: list[Point], *, arrow: bool) -> str:
    """A line through the points; it bends in the gaps between layers, and leaves and enters them straight."""
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (ax, ay), (bx, by) in pairwise(points):
        middle = (ay + by) / 2
        straight = f" L{bx:.1f},{by:.1f}"
        path += straight if abs(ax - bx) < 0.5 else f" C{ax:.1f},{middle:.1f} {bx:.1f},{middle:.1f} {bx:.1f},{by:.1f}"
    return f'<path class="wire" d="{path}"{" marker-end=" + chr(34) + "url(#arrow)" + chr(34) if arrow else ""}/>'


def _rect(x: float, y: float, width: float, height: float, kind: str, radius: float, *, stroke: bool = True) -> str:
    none = "" if stroke else ' style="stroke: none"'
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}"{none}/>'
    )


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
