"""The SVG shows everything, and nothing lies on anything else."""

from itertools import combinations
from xml.etree import ElementTree

from flowcore.graph.drawing import NAME, SMALL, WIDE
from flowcore.graph.picture import bound
from flowcore.graph.svg import svg
from tests.graph.test_picture import EXPLAINED, each


def elements(name, tag):
    return [e for e in ElementTree.fromstring(svg(EXPLAINED[name])).iter() if e.tag.endswith("}" + tag)]


def frame(text):
    """Where a text stands: left, top, right, bottom."""
    size = NAME if text.get("class") == "name" else SMALL
    width, x, y = len(text.text) * size * WIDE, float(text.get("x")), float(text.get("y"))
    left = x if "left" in text.get("class") else x - width / 2
    return left, y - 0.75 * size, left + width, y + 0.2 * size


@each
def test_all_that_explain_says_of_wires_and_queues_is_in_the_svg(name):
    texts = [element.text for element in elements(name, "text")]
    for chain in EXPLAINED[name].chains:
        assert chain.runs in texts
        assert chain.border is None or bound(chain) in texts
        for step in chain.nodes:
            assert {step.name, step.use} <= set(texts)
            assert all(any(form in text for text in texts) for form in step.gives.values())


@each
def test_no_text_lies_on_another_or_outside(name):
    root = ElementTree.fromstring(svg(EXPLAINED[name]))
    width, height = float(root.get("width")), float(root.get("height"))
    frames = [(element.text, frame(element)) for element in elements(name, "text")]
    for text, (left, top, right, bottom) in frames:
        assert left >= 0, text
        assert top >= 0, text
        assert right <= width, text
        assert bottom <= height, text
    for (one, a), (other, b) in combinations(frames, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{one!r} lies on {other!r}"


@each
def test_no_node_or_queue_lies_on_another(name):
    boxes = [
        [float(element.get(key)) for key in ("x", "y", "width", "height")]
        for element in elements(name, "rect")
        if element.get("class", "").split()[:1] in (["node"], ["queue"])
    ]
    assert len(boxes) == sum(len(chain.nodes) + (chain.border is not None) for chain in EXPLAINED[name].chains)
    for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(boxes, 2):
        assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay


def test_the_picture_of_transcribe_fits_a_screen():
    root = ElementTree.fromstring(svg(EXPLAINED["transcribe"]))
    assert float(root.get("width")) <= 1000
    assert float(root.get("height")) <= 1000


def test_what_is_put_in_is_dashed_and_nothing_else():
    classes = [element.get("class") for element in elements("transcribe", "rect")]
    assert sum("inserted" in kind for kind in classes if kind) == 1
