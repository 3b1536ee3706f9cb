"""Pictures show all there is: nodes, wires with their formats, queues with their bounds."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from flowcore.graph.explain import explain
from flowcore.graph.load import load, load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.graph.picture import dot, mermaid, wires
from flowcore.graph.svg import svg

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
