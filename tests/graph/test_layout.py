"""Pictures that can be read: whatever the graph, no box lies on another and no wire runs through one."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore.graph.layout import Box, layered

GAP, BETWEEN = 10, 20


@st.composite
def graphs(draw):
    """Boxes of any size, each fed by some of those before it, and some of them at the bottom."""
    count = draw(st.integers(1, 12))
    boxes = {str(n): Box(draw(st.floats(0, 200)), draw(st.floats(0, 60))) for n in range(count)}
    edges = [
        (str(before), str(n))
        for n in range(1, count)
        for before in draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=3))
    ]
    ends = {name for name in boxes if not any(upper == name for upper, _ in edges)}
    bottom = draw(st.sets(st.sampled_from(sorted(ends))))
    leaves = {edge: draw(st.floats(-0.5, 0.5)) * boxes[edge[0]].width for edge in edges}
    return boxes, edges, bottom, leaves


def laid_out(graph):
    boxes, edges, bottom, leaves = graph
    return layered(boxes, edges, gap=GAP, between=BETWEEN, bottom=bottom, leaves=leaves)


@given(graphs())
@pytest.mark.slow
def test_boxes_keep_their_distance_and_stay_in_the_picture(graph):
    layout = laid_out(graph)
    for box in layout.boxes.values():
        assert box.x - box.width / 2 >= -1e-6
        assert box.x + box.width / 2 <= layout.width + 1e-6
        assert box.y >= 0
        assert box.y + box.height <= layout.height + 1e-6
    for a, b in combinations(layout.boxes.values(), 2):
        if a.layer == b.layer:
            assert abs(a.x - b.x) >= (a.width + b.width) / 2 + GAP - 1e-6
        else:
            upper, lower = sorted((a, b), key=lambda box: box.layer)
            assert upper.y + upper.height + BETWEEN <= lower.y + 1e-6


@given(graphs())
@pytest.mark.slow
def test_wires_go_down_from_box_to_box_and_through_none(graph):
    layout = laid_out(graph)
    assert set(layout.routes) == set(graph[1])
    for (source, target), points in layout.routes.items():
        start, end = layout.boxes[source], layout.boxes[target]
        assert points[0] == (start.x + graph[3][source, target], start.y + start.height)
        assert points[-1] == (end.x, end.y)
        for (ax, ay), (bx, by) in pairwise(points):
            assert by >= ay
            if ax == bx:
                continue
            # It bends only between layers, where no box is.
            for box in layout.boxes.values():
                assert by <= box.y + 1e-6 or ay >= box.y + box.height - 1e-6
        for (x, top), (_, bottom) in pairwise(points):
            for name, box in layout.boxes.items():
                inside = top < box.y + box.height - 1e-6 and bottom > box.y + 1e-6
                if inside and name not in (source, target):
                    assert abs(x - box.x) >= box.width / 2 - 1e-6


@given(graphs())
@pytest.mark.slow
def test_the_bottom_is_the_last_layer(graph):
    layout = laid_out(graph)
    last = max(box.layer for box in layout.boxes.values())
    assert all(layout.boxes[name].layer == last for name in graph[2])


def test_the_same_graph_gives_the_same_picture():
    def one():
        boxes = {name: Box(50, 20) for name in "abcdef"}
        return layered(boxes, ["ab", "ac", "bd", "cd", "ae", "ef", "df"], gap=5, between=5)

    assert one() == one()


def test_wires_that_need_not_cross_do_not():
    boxes = {name: Box(40, 20) for name in ("top", "left", "right", "under right", "under left")}
    edges = [("top", "left"), ("top", "right"), ("right", "under right"), ("left", "under left")]
    placed = layered(boxes, edges, gap=10, between=10).boxes
    assert (placed["left"].x < placed["right"].x) == (placed["under left"].x < placed["under right"].x)
