"""``flowcore bench``: finds the most calls, names what spends the time, leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flowcore.bench.search import verdict
from flowcore.cli.bench import _elsewhere as bench_settings
from flowcore.graph.load import load
from tests.support.live import PATIENCE, ROOT, until

GRAPH = """
flowcore: 1
nodes:
  call: {use: ringcx, with: {port: 3333}}
  ordered: {use: reorder, from: call}
  wav: {use: wav_file, from: ordered, with: {path: "here/{started:%Y}/{flow}.wav"}}
"""


def test_a_graph_that_nobody_can_call(flowcore, tmp_path):
    (tmp_path / "one.wav").touch()
    graph = tmp_path / "graph.yaml"
    graph.write_text(
        "flowcore: 1\nnodes:\n  tape: {use: wav_source, with: {path: one.wav}}\n"
        '  wav: {use: wav_file, from: tape, with: {path: "{flow}.wav"}}\n'
    )
    outcome = flowcore("bench", graph)
    assert outcome.code == 2
    assert 'there is no load generator for "tape" (wav_source)' in outcome.err.replace("\n", " ")


def test_a_bound_without_a_unit(flowcore, tmp_path):
    graph = tmp_path / "graph.yaml"
    graph.write_text(GRAPH)
    outcome = flowcore("bench", graph, "--p99", "100")
    assert outcome.code == 2
    assert "--p99" in outcome.err


def test_paths_with_attributes_are_rewritten_to_paths_that_the_graph_accepts(tmp_path):
    path = tmp_path / "graph.yaml"
    path.write_text(GRAPH.replace("here/{started:%Y}/{flow}.wav", "{account_id}/x-{sub_account_id}/{flow}.wav"))
    settings = bench_settings(load(path), tmp_path / "elsewhere")
    assert (
        load(path, settings).nodes["wav"].config.path
        == f"{tmp_path}/elsewhere/wav/{{account_id}}/x-{{sub_account_id}}/{{flow}}.wav"
    )


@pytest.fixture
def calm(monkeypatch):
    """The verdict on each load, but for what a busy machine does: its generator is late, and heard as a pause."""

    def judge(outcome, bound):
        load = outcome.load | {"in_time": True, "blocked": 0}
        return verdict(replace(outcome, load=load, report=outcome.report | {"events": {}}), bound)

    monkeypatch.setattr("flowcore.cli.bench.verdict", judge)


@pytest.mark.slow
def test_the_most_calls_and_where_the_time_goes(flowcore, tmp_path, monkeypatch, calm):
    monkeypatch.chdir(tmp_path)
    guarded = "host: 0.0.0.0, tls: {cert: none.pem, key: none.pem}, networks: [192.0.2.0/24], max_calls_per_ip: 1"
    assert "with: {port: 3333}" in GRAPH
    (tmp_path / "graph.yaml").write_text(GRAPH.replace("port: 3333", guarded))
    # No bound on latency to speak of, for the same reason.
    outcome = flowcore("bench", "graph.yaml", "--most", "4", "--seconds", "3", "--p99", "1h", "--json", "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert outcome.code == 0, outcome.err
    assert f"{found['calls']} calls at once of graph.yaml" in outcome.out
    assert 1 <= found["calls"] <= 4
    parts = {"call", "socket", "frame", "JSON", "ordered", "wav", "borders", "engine"}
    assert sum(found["profile"].values()) > 0  # four calls are few samples: which parts were met is chance
    assert {part for part in found["profile"] if "~" not in part} <= parts | {"native threads"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.json", "graph.yaml"]


@pytest.mark.slow
def test_a_graph_that_holds_no_call(flowcore, tmp_path, calm):
    graph = tmp_path / "graph.yaml"
    graph.write_text(GRAPH)
    outcome = flowcore("bench", graph, "--most", "1", "--seconds", "3", "--p99", "1ms")
    assert outcome.code == 1
    assert "not even 1 call could be held" in outcome.err


@pytest.mark.slow
def test_one_that_is_terminated_leaves_no_folder_behind(tmp_path):
    command = [Path(sys.executable).with_name("flowcore"), "bench", ROOT / "graphs" / "record.yaml"]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.DEVNULL) as process:
        until(lambda: list(tmp_path.glob("flowcore-bench-*/*")))  # a load is on
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
