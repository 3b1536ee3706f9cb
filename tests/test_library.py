"""A program that runs a graph itself needs the names that the docstring of ``flowcore`` shows, and those work."""

import asyncio

import flowcore
from flowcore.engine import Engine
from flowcore.graph import compile_graph, load_graph
from nodes.audio import wav
from tests.support.phone import stereo

GRAPH = """
flowcore: 1
nodes:
  call: {{use: wav_source, with: {{path: {folder}/in.wav, speed: 0}}}}
  wav: {{use: wav_file, from: call, with: {{path: "{folder}/out.wav"}}}}
"""


def test_the_package_has_the_names_of_node_authors_and_no_file_plumbing():
    assert all(hasattr(flowcore, name) for name in flowcore.__all__)
    assert not {"NewFile", "publish", "Folder"} & set(flowcore.__all__)


def test_a_program_runs_a_graph(tmp_path):
    (tmp_path / "in.wav").write_bytes(wav.header("s16", 8000, 2, 3200) + bytes(3200))
    (tmp_path / "graph.yaml").write_text(GRAPH.format(folder=tmp_path))
    engine = Engine(compile_graph(load_graph(tmp_path / "graph.yaml")), strict=True)
    asyncio.run(engine.run())
    assert engine.totals.reasons == {"end_of_file": 1}
    assert len(stereo(tmp_path / "out.wav")) == 800
