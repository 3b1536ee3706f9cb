"""Places the boxes of a picture: a layered layout from top to bottom, after Sugiyama, Tagawa and Toda (1981).

Every box lies in a layer below all boxes that feed it. A wire that passes a layer has a place of its own there, so no
wire crosses a box. Each layer is ordered so that few wires cross; then boxes move towards the centre of their
neighbours as far as their widths allow (pool adjacent violators, which is exact for each layer).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from statistics import fmean

Edge = tuple[str, str]
Point = tuple[float, float]

SWEEPS = 12
"""Rounds of ordering layers and moving boxes; pictures of graphs settle within three or four."""


@dataclass
class Box:
    """A box of a given size; the layout sets its centre ``x`` and its top ``y``."""

    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    layer: int = 0


@dataclass
class Layout:
    """The boxes by name, the points of each wire (two for each layer), and the size of the picture."""

    boxes: dict[str, Box]
    routes: dict[Edge, list[Point]]
    width: float
    height: float


@dataclass
class _Work:
    boxes: dict[str, Box]
    layers: list[list[str]] = field(default_factory=list)
    links: dict[Edge, float] = field(default_factory=dict)  # with the offset of its beginning from the box's centre
    paths: dict[Edge, list[str]] = field(default_factory=dict)


def layered(
    boxes: Mapping[str, Box],
    edges: Sequence[Edge],
    *,
    gap: float,
    between: float,
    bottom: Collection[str] = (),
    leaves: Mapping[Edge, float] | None = None,
) -> Layout:
    """Place boxes: ``gap`` apart in a layer, layers ``between`` apart, and those in ``bottom`` in the last layer.

    ``leaves`` is the distance of a wire's beginning from its box's centre. ``edges`` form no circle.
    """
    work = _Work(dict(boxes))
    _assign_layers(work, edges, bottom)
    _add_waypoints(work, edges, leaves or {})
    for sweep in range(SWEEPS):
        _order(work, down=sweep % 2 == 0)
    for names in work.layers:
        _spread(work, names, dict.fromkeys(names, 0.0), gap)
    for sweep in range(SWEEPS):
        _move(work, gap, down=sweep % 2 == 0)
    return _measured(work, boxes, between)


def _assign_layers(work: _Work, edges: Sequence[Edge], bottom: Collection[str]) -> None:
    changed = True
    while changed:
        changed = False
        for upper, lower in edges:
            if work.boxes[lower].layer <= work.boxes[upper].layer:
                work.boxes[lower].layer = work.boxes[upper].layer + 1
                changed = True
    last = max(box.layer for box in work.boxes.values())
    for name in bottom:
        work.boxes[name].layer = last
    work.layers = [[name for name, box in work.boxes.items() if box.layer == layer] for layer in range(last + 1)]


def _add_waypoints(work: _Work, edges: Sequence[Edge], leaves: Mapping[Edge, float]) -> None:
    """Cut each wire into links from one layer to the next."""
    for edge in edges:
        path = [edge[0]]
        for layer in range(work.boxes[edge[0]].layer + 1, work.boxes[edge[1]].layer):
            name = f"{edge[0]}>{edge[1]}@{layer}"
            work.boxes[name] = Box(0, 0, layer=layer)
            work.layers[layer].append(name)
            path.append(name)
        path.append(edge[1])
        work.paths[edge] = path
        for link in pairwise(path):
            work.links[link] = leaves.get(edge, 0.0) if link[0] == edge[0] else 0.0


def _neighbours(work: _Work, name: str, *, down: bool) -> list[tuple[str, float]]:
    """The box's neighbours in the layer before, each with the best distance of the box to the right of its centre."""
    if down:
        return [(upper, offset) for (upper, lower), offset in work.links.items() if lower == name]
    return [(lower, -offset) for (upper, lower), offset in work.links.items() if upper == name]


def _wanted(
    work: _Work, names: Sequence[str], places: Mapping[str, float], scale: float, down: bool
) -> dict[str, float]:
    """The mean place of each box's neighbours, or its own without any; ``scale`` turns offsets into places."""
    near = {name: _neighbours(work, name, down=down) for name in names}
    means = {name: [places[other] + offset * scale for other, offset in near[name]] for name in names}
    return {name: fmean(values or [places[name]]) for name, values in means.items()}


def _order(work: _Work, *, down: bool) -> None:
    """Sort each layer by the mean place of its neighbours, unless more wires would cross."""
    numbers = range(1, len(work.layers)) if down else range(len(work.layers) - 2, -1, -1)
    for number in numbers:
        old, crossed = work.layers[number], _crossings(work)
        wanted = _wanted(work, old, _numbered(work), 1e-4, down)
        work.layers[number] = sorted(old, key=wanted.__getitem__)
        if _crossings(work) > crossed:
            work.layers[number] = old


def _numbered(work: _Work) -> dict[str, int]:
    return {name: number for names in work.layers for number, name in enumerate(names)}


def _crossings(work: _Work) -> int:
    place = _numbered(work)
    links = work.links.items()
    ends = [(work.boxes[upper].layer, place[upper] + offset / 1e4, place[lower]) for (upper, lower), offset in links]
    return sum(a[0] == b[0] and (a[1] - b[1]) * (a[2] - b[2]) < 0 for a, b in combinations(ends, 2))


def _move(work: _Work, gap: float, *, down: bool) -> None:
    for names in work.layers if down else reversed(work.layers):
        places = {name: box.x for name, box in work.boxes.items()}
        _spread(work, names, _wanted(work, names, places, 1.0, down), gap)


def _spread(work: _Work, names: Sequence[str], wanted: Mapping[str, float], gap: float) -> None:
    """Move a layer's boxes to their ``wanted`` places, as near as order and widths allow (least squares)."""
    pools: list[list[float]] = []  # sum of the wanted places, count
    shift, shifts = 0.0, []
    for number, name in enumerate(names):
        if number:
            shift += (work.boxes[names[number - 1]].width + work.boxes[name].width) / 2 + gap
        shifts.append(shift)
        pools.append([wanted[name] - shift, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    means = [total / count for total, count in pools for _ in range(int(count))]
    for name, mean, moved in zip(names, means, shifts, strict=True):
        work.boxes[name].x = mean + moved


def _measured(work: _Work, boxes: Mapping[str, Box], between: float) -> Layout:
    left = min(box.x - box.width / 2 for box in work.boxes.values())
    width = max(box.x + box.width / 2 for box in work.boxes.values()) - left
    y, tops, heights = 0.0, [], []
    for names in work.layers:
        tops.append(y)
        heights.append(max(work.boxes[name].height for name in names))
        y += heights[-1] + between
    for box in work.boxes.values():
        box.x -= left
        box.y = tops[box.layer]
    routes = {}
    for edge, path in work.paths.items():
        offset = work.links[path[0], path[1]]
        points: list[Point] = []
        for name in path:
            box = work.boxes[name]
            x = box.x + (offset if name == edge[0] else 0)
            if name != edge[0]:
                points.append((x, box.y))
            if name != edge[1]:
                points += [(x, box.y + box.height)] if name == edge[0] else []
                points.append((x, box.y + heights[box.layer]))
        routes[edge] = points
    return Layout({name: work.boxes[name] for name in boxes}, routes, width, y - between)
