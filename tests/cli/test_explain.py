"""`flowcore explain`: the plan as a person reads it, at any width."""

import json
from pathlib import Path

import pytest

GRAPHS = Path(__file__).parents[2] / "graphs"


def lines(text):
    return [line.rstrip() for line in text.splitlines()]


def test_a_recorder_explained(flowcore, monkeypatch):
    monkeypatch.chdir(GRAPHS.parent)
    assert (
        lines(flowcore("explain", "graphs/record.yaml", "--set", "wav.queue.max=5s").out)
        == """\
graphs/record.yaml: 4 nodes, 1 converter put in (marked +), 2 chains, 1 queue

chain 0, in the event loop, without a queue
  call (ringcx)                               → packets mulaw 8 kHz tracks
  ordered (reorder)      ← call               → audio mulaw 8 kHz tracks
  voices (decode_mulaw)  ← ordered            → audio s16 8 kHz tracks
  + voices~interleave    ← voices             → audio s16 8 kHz stereo

═ queue 5s of audio, 156 KiB, when full drop_newest ═▶ chain 1, in a thread
  wav (wav_file)         ← voices~interleave

opened once, for all calls
  Captures for call
  Folder for wav

latency added, typically and at most, while every node keeps up
  wav  220ms  5.54s  = slot 20ms + ordered 500ms + voices~interleave 5s + slot
                     20ms
  (a queue adds up to its bound while the node behind it does not keep up)
  (a slot is 20ms, and twice that under load)

memory of one call, estimated
  47 KiB usually, 372 KiB at most
  (the call, its nodes and the audio they delay; at most with all queues full)
""".splitlines()
    )


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("graph", sorted(GRAPHS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_wire_stands_on_one_line_at_usual_widths(flowcore, monkeypatch, graph, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    outcome = flowcore("explain", graph)
    assert max(len(line) for line in lines(outcome.out)) <= columns
    as_json = json.loads(flowcore("explain", graph, "--json").out)
    for chain in as_json["chains"]:
        for step in chain["nodes"]:
            shown = f"+ {step['name']}" if step["inserted"] else f"{step['name']} ({step['use']})"
            [line] = [line for line in lines(outcome.out) if line.startswith(f"  {shown} ") or line == f"  {shown}"]
            assert all(f"← {source}" in line for source in step["inputs"][:1])
            assert all(f"→ {form}" in line for form in list(step["gives"].values())[:1])


@pytest.mark.parametrize("columns", ["", "40", "80"])
def test_long_names_are_whole_at_any_width(flowcore, monkeypatch, tmp_path, columns):
    call, ordered = "the_call_of_a_customer_with_a_long_name", "the_ordered_packets_of_a_customer_with_a_long_name"
    nodes = f"{call}: {{use: ringcx}}, {ordered}: {{use: reorder, from: {call}}}"
    nodes += f", voices: {{use: decode_mulaw, from: {ordered}}}, wav: {{use: wav_file, from: voices}}"
    (tmp_path / "g.yaml").write_text(f"flowcore: 1\nnodes: {{{nodes}}}\n")
    monkeypatch.setenv("COLUMNS", columns) if columns else monkeypatch.delenv("COLUMNS")
    shown = lines(flowcore("explain", tmp_path / "g.yaml").out)
    [row] = [line for line in shown if line.startswith(f"  {ordered} (reorder)")]
    assert f"← {call} " in row
    assert "→ audio mulaw 8 kHz tracks" in row
    assert "…" not in "".join(shown)


def test_a_pipe_has_each_latency_on_one_line_and_no_trailing_spaces(flowcore, monkeypatch):
    monkeypatch.delenv("COLUMNS")
    shown = flowcore("explain", GRAPHS / "transcribe.yaml").out.splitlines()
    assert shown == lines("\n".join(shown))
    [page] = [line for line in shown if line.startswith("  page  ")]
    assert page.endswith(" + words 12s + slot 20ms")


def test_json_goes_nowhere_else(flowcore):
    outcome = flowcore("explain", GRAPHS / "transcribe.yaml", "--json")
    found = json.loads(outcome.out)
    assert list(found) == ["graph", "live", "chains", "shared", "latency", "memory"]
    assert outcome.err == ""


def test_a_wrong_graph_is_told_as_check_tells_it(flowcore, tmp_path):
    (tmp_path / "g.yaml").write_text("flowcore: 1\nnodes:\n  a: {use: ringcx}\n  b: {use: console, from: a}\n")
    explained, checked = flowcore("explain", tmp_path / "g.yaml"), flowcore("check", tmp_path / "g.yaml")
    assert (explained.code, explained.out) == (2, "")
    assert checked.err.startswith(explained.err)
    assert "error[format-mismatch]" in explained.err
