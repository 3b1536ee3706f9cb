"""What ``flowcore new`` writes works at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from flowcore.cli.new import TEMPLATES
from flowcore.graph.load import load_text
from flowcore.registry import from_file

KINDS = ("transform", "sink", "listener")


@pytest.mark.slow
def test_node_of_each_kind_passes_its_own_test(flowcore, tmp_path):
    for kind in KINDS:
        assert flowcore("new", "node", f"own_{kind}", "--kind", kind, "--dir", tmp_path).code == 0
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_example_of_a_new_node_is_right(flowcore, tmp_path, kind):
    flowcore("new", "node", f"own_{kind}", "--kind", kind, "--dir", tmp_path)
    [entry] = from_file(tmp_path / f"own_{kind}.py")
    assert entry.name == f"own_{kind}"
    [example] = [line.strip() for line in entry.load().__doc__.splitlines() if f"{{use: own_{kind}" in line]
    ahead = "call: {use: wav_source, with: {path: x}}, voices: {use: resample, from: call}, "
    behind = ", end: {use: wav_file, from: call}" if kind != "sink" else ""
    if kind == "transform":
        behind = behind.replace("call", "louder")
    nodes = (ahead if kind != "listener" else "") + example + behind
    text = f"flowcore: 1\nimport: [own_{kind}.py]\nnodes: {{{nodes}}}\n"
    assert len(load_text(text, str(tmp_path / "g.yaml")).nodes) >= 2


def test_new_graph_is_right_and_passes_its_tests(flowcore, tmp_path):
    done = flowcore("new", "graph", "calls", "--dir", tmp_path)
    assert done.code == 0
    assert f"flowcore test {tmp_path}/calls.test.yaml" in done.out
    assert flowcore("check", tmp_path / "calls.yaml").code == 0
    tested = flowcore("test", tmp_path / "calls.test.yaml")
    assert (tested.code, "2 passed" in tested.out) == (0, True)
    assert (tmp_path / "calls.yaml").read_text().startswith("# yaml-language-server: $schema=")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("node", "1st"), "is no name"),
        (("node", "own" * 22), "is no name"),
        (("node", "wav-file"), 'there is a node "wav_file" in nodes.sinks.wav_file'),
        (("node", "wav_file"), 'there is a node "wav_file" in nodes.sinks.wav_file'),
        (("node", "json"), "Python has a module"),
        (("node", "class"), "Python has a module or word class"),
        (("node", "own", "--kind", "gadget"), "gadget"),
        (("graph", "../out"), "give a directory with --dir"),
        (("graph",), "NAME"),
    ],
)
def test_wrong_command_line_writes_nothing(flowcore, tmp_path, arguments, says):
    done = flowcore("new", *arguments, "--dir", tmp_path)
    assert done.code == 2
    assert says in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name", "legal"),
    [
        ("graph", "my-calls", "my_calls"),
        ("graph", "My calls.yaml", "my_calls"),
        ("node", "own-node", "own_node"),
        ("node", "OwnNode", "own_node"),
    ],
)
def test_a_legal_name_is_derived_and_told(flowcore, tmp_path, kind, name, legal):
    done = flowcore("new", kind, name, "--dir", tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f'the name is "{legal}": a name has only small letters, digits and _\nwrote {tmp_path}')
    assert legal in {path.name.partition(".")[0] for path in tmp_path.iterdir()}


def test_what_exists_is_left_alone(flowcore, tmp_path):
    (tmp_path / "test_own.py").write_text("mine")
    done = flowcore("new", "node", "own", "--dir", tmp_path)
    assert done.code == 2
    assert "exists" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["test_own.py"]


def test_directory_that_cannot_be_made(flowcore, tmp_path):
    (tmp_path / "file").write_text("")
    done = flowcore("new", "graph", "calls", "--dir", tmp_path / "file" / "x")
    assert (done.code, "cannot write" in done.err) == (2, True)


def test_templates_are_named_by_what_is_replaced_in_them():
    for path in Path(TEMPLATES).glob("my_*"):
        assert path.name.partition(".")[0] in path.read_text()
