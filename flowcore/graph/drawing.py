"""Places of everything in a picture of a plan, from top to bottom: chains as frames, queues on their upper edge.

Formats stand on the wires. Two nested layouts: the nodes of each chain, then the chains. The width of a text is
estimated from its length, so no font is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from flowcore.graph.explain import Chain, Explanation, Step
from flowcore.graph.layout import Box, Edge, Layout, Point, layered
from flowcore.graph.picture import Wire, bound, wires

NAME, SMALL = 13, 11  # font sizes
WIDE = 0.62  # width of a character relative to the font's size, for wide sans-serif fonts
NODE, LABEL, QUEUE = 38, 15, 20  # heights
LINE = 14  # height of a further line
PADDING, MARGIN = 14, 16
KEY = "dashed: put in by flowcore · yellow: a queue, its bound, and what it does when full"


@dataclass(frozen=True)
class Rect:
    """A box; ``kind`` is its class. ``name`` is the node, the output, or the node behind the queue."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    radius: float = 0
    name: str = ""


@dataclass(frozen=True)
class Label:
    """A text at its base line, centred at ``x``, or beginning there where its kind says ``left``."""

    kind: str
    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Line:
    """A path of SVG, with an arrow at its end or without."""

    kind: str
    path: str
    arrow: bool = False


Shape = Rect | Label | Line


@dataclass(frozen=True)
class Drawing:
    """A picture: its size, and its shapes in the order in which they are drawn."""

    title: str
    width: float
    height: float
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class _Frame:
    """A laid-out chain: the places of its nodes and labels, and those where its wires leave it below."""

    chain: Chain
    layout: Layout
    labels: dict[str, Wire]
    exits: dict[str, list[str]]
    extra: float

    @property
    def above(self) -> float:
        """Room over the first node; a queue sits on the upper edge itself."""
        return 0 if self.chain.border else PADDING

    @property
    def box(self) -> Box:
        below = PADDING + 4 if self.chain.border else PADDING  # room for the text that says where it runs
        return Box(self.layout.width + 2 * PADDING, self.above + self.layout.height + below)


def draw(explained: Explanation, *, numbers: bool = False) -> Drawing:
    """Draw the whole picture. With ``numbers``, each wire and queue has room for a second line of text."""
    extra = LINE if numbers else 0
    all_wires = list(wires(explained))
    frames = {str(number): _frame(chain, all_wires, extra) for number, chain in enumerate(explained.chains)}
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
    shapes: list[Shape] = [Label("name", width / 2, MARGIN + 10, explained.graph)]
    for name, frame in frames.items():
        box = outer.boxes[name]
        shapes += _drawn(frame, left + box.x - box.width / 2, top + box.y)
    for (edge, _), x in starts.items():
        points = [(left + px, top + py) for px, py in outer.routes[edge]]
        begin = left + outer.boxes[edge[0]].x + x
        points[:2] = [(begin, y) for _, y in points[:2]]
        shapes.append(_wire(points, arrow=True))
    shapes.append(Label("small dim", width / 2, height - MARGIN, KEY))
    return Drawing(explained.graph, width, height, tuple(shapes))


def _frame(chain: Chain, all_wires: Iterable[Wire], extra: float) -> _Frame:
    """Lay out a chain. Each output's format is a box too, for room; wires leave the chain through ``exit`` boxes."""
    inside = {step.name for step in chain.nodes}
    boxes = {step.name: Box(_node_width(step), NODE) for step in chain.nodes}
    edges: list[Edge] = []
    if chain.border:
        boxes = {"queue": Box(len(bound(chain)) * SMALL * WIDE + 24, QUEUE + extra)} | boxes
        edges.append(("queue", chain.nodes[0].name))
    labels: dict[str, Wire] = {}
    exits: dict[str, list[str]] = {}
    for wire in all_wires:
        if wire.source not in inside:
            continue
        label = f"label {wire.source}.{wire.port}"
        if label not in boxes:
            labels[label] = wire
            boxes[label] = Box(len(wire.label) * SMALL * WIDE + 8, LABEL + extra)
            edges.append((wire.source, label))
        if not wire.queued:
            edges.append((label, wire.target))
            continue
        if label not in exits:
            boxes[f"exit {label}"] = Box(0, 0)
            edges.append((label, f"exit {label}"))
        exits.setdefault(label, []).append(wire.target)
    bottom = [f"exit {label}" for label in exits]
    return _Frame(chain, layered(boxes, edges, gap=18, between=14, bottom=bottom), labels, exits, extra)


def _drawn(frame: _Frame, x: float, y: float) -> Iterator[Shape]:
    """A frame and its content, with the upper left corner at ``x``, ``y``."""
    box = frame.box
    chain = frame.chain
    queue = QUEUE + frame.extra
    edge = y + (queue / 2 if chain.border else 0)
    yield Rect("chain", x, edge, box.width, y + box.height - edge, 8)
    yield Label("small dim left", x + 8, y + box.height - 4 if chain.border else y + 15, chain.runs)
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
            wire = frame.labels[name]
            output = f"{wire.source}.{wire.port}" if wire.port else wire.source
            yield Rect("label", left, top, at.width, at.height, name=output)
            yield Label("small", x + at.x, top + 11.5, wire.label)
        elif name == "queue":
            yield Rect("queue", left, top, at.width, at.height, name=chain.nodes[0].name)
            bars = f"M{left + 5:.1f},{top:.1f} v{queue:g} M{left + at.width - 5:.1f},{top:.1f} v{queue:g}"
            yield Line("queue", bars)
            yield Label("small", x + at.x, top + 14, bound(chain))
        elif name in kinds:
            yield Rect(f"node {_kind(kinds[name])}", left, top, at.width, at.height, 6, name)
            yield Label("name", x + at.x, top + 16, name)
            yield Label("small dim", x + at.x, top + 31, kinds[name].use)


def _kind(step: Step) -> str:
    if step.inserted:
        return "inserted"
    return "source" if not step.inputs else "" if step.gives else "sink"


def _node_width(step: Step) -> float:
    return max(90.0, len(step.name) * NAME * (WIDE + 0.08) + 20, len(step.use) * SMALL * WIDE + 20)


def _wire(points: list[Point], *, arrow: bool) -> Line:
    """A line through the points; it bends in the gaps between layers, and leaves and enters them straight."""
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (ax, ay), (bx, by) in pairwise(points):
        middle = (ay + by) / 2
        straight = f" L{bx:.1f},{by:.1f}"
        path += straight if abs(ax - bx) < 0.5 else f" C{ax:.1f},{middle:.1f} {bx:.1f},{middle:.1f} {bx:.1f},{by:.1f}"
    return Line("wire", path, arrow)
