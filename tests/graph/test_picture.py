"""Pictures show all there is: nodes, wires with their formats, queues with their bounds."""

import re
import subprocess
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from flowcore.graph.explain import explain
from flowcore.graph.load import load, load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.graph.picture import bound, dot, mermaid, wires
from flowcore.graph.svg import NAME, SMALL, WIDE, svg

ROOT = Path(__file__).parents[2]
CROWDED = """\
flowcore: 1
nodes:
  call: {use: ringcx}
  ordered: {use: reorder, from: call}
  wav: {use: wav_file, from: ordered}
  speech: {use: resample, from: ordered, with: {rate: 16000}}
  wide: {use: wav_file, from: speech}
  party: {use: split, from: speech}
  agent: {use: transcribe, from: party.agent}
  caller: {use: transcribe, from: party.customer}
  agent_alone: {use: wav_file, from: party.agent}
  both: {use: wav_file, from: [party.agent, party.customer]}
  text: {use: transcript_file, from: [agent, caller]}
  a_name_that_is_as_long_as_a_name_may_well_be_in_a_graph: {use: transcript_file, from: [agent, caller]}
  page: {use: console, from: [agent, caller], queue: {on_full: fail}}
"""
TINY = "flowcore: 1\nnodes:\n  a: {use: wav_source, with: {path: x}}\n  b: {use: wav_file, from: a}\n"
PLANS = {path.stem: compile_graph(load(path)) for path in ROOT.glob("graphs/*.yaml")} | {
    "crowded": compile_graph(load_text(CROWDED)),
    "tiny": compile_graph(load_text(TINY)),
}
EXPLAINED = {name: explain(plan) for name, plan in PLANS.items()}
each = pytest.mark.parametrize("name", sorted(EXPLAINED))


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
    assert float(root.get("height")) <= 900


def test_what_is_put_in_is_dashed_and_nothing_else():
    classes = [element.get("class") for element in elements("transcribe", "rect")]
    assert sum("inserted" in kind for kind in classes if kind) == 1


@each
def test_every_wire_is_in_every_language(name):
    explained = EXPLAINED[name]
    found = list(wires(explained))
    assert len(found) == sum(len(step.inputs) for chain in explained.chains for step in chain.nodes)
    queues = sum(chain.border is not None for chain in explained.chains)
    assert len(re.findall(r"(?m)^  node\d+ (?:-->|==>)\|", mermaid(explained))) == len(found)
    assert len(re.findall(r'(?m)^  "[^"]+" -> ', dot(explained))) == len(found)
    assert mermaid(explained).count(":::queue") == queues
    assert dot(explained).count("subgraph cluster_") == len(explained.chains)
    for wire in found:
        assert f'|"{wire.label}"|' in mermaid(explained)


@each
@pytest.mark.slow  # as it wants Graphviz, which `make test` installs and `make check` does not
def test_graphviz_reads_our_dot(name):
    drawn = subprocess.run(["dot", "-Tplain"], input=dot(EXPLAINED[name]), capture_output=True, text=True, check=True)
    assert drawn.stderr == ""
    assert drawn.stdout.count("\nedge ") >= len(list(wires(EXPLAINED[name])))


def test_the_picture_in_docs_is_current():
    shown = replace(EXPLAINED["transcribe"], graph="graphs/transcribe.yaml")
    assert (ROOT / "docs" / "transcribe.svg").read_text() == svg(shown), "run  make docs"
