"""Sub-graphs: a graph file that another one uses, as often as it likes."""

import pytest

from flowcore.errors import GraphError
from flowcore.graph.load import load, load_text
from flowcore.graph.model import Input
from flowcore.units import Duration
from tests.graph.nodes import REGISTRY
from tests.graph.test_load import marked

GRAPH = """\
flowcore: 1
nodes:
  call:   {use: phone}
  party:  {use: halves, from: call}
  agent:  {use: ./words.yaml, from: party.agent, with: {window: 80ms}}
  caller: {use: ./words.yaml, from: party.customer}
  kept:   {use: store, from: [agent, caller.text], with: {path: kept}}
"""
WORDS = """\
flowcore: 1
parameters:
  window: {default: 120ms, description: how long to look}
input: voice
outputs: {text: heard}
nodes:
  clean: {use: filter, from: voice, with: {window: $window}}
  heard: {use: filter, from: clean}
"""


def loaded(folder, graph=GRAPH, settings=(), **files):
    for name, text in ({"words": WORDS} | files).items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "g.yaml").write_text(graph)
    return load(folder / "g.yaml", settings, {"HOME": "/root"}, REGISTRY)


def problem_of(folder, graph=GRAPH, settings=(), **files):
    """The one problem, with where it is: file name, line, column, length; from a text with ⟦marks⟧."""
    texts = {name: marked(text) for name, text in ({"g": graph, "words": WORDS} | files).items()}
    expected = [(f"{name}.yaml", *place) for name, (_, places) in texts.items() for place in places]
    with pytest.raises(GraphError) as caught:
        loaded(folder, texts.pop("g")[0], settings, **{name: text for name, (text, _) in texts.items()})
    [problem] = caught.value.problems
    at = problem.position
    assert expected == [(problem.path.rpartition("/")[2], at.line, at.column, at.length)]
    assert problem.line in (folder / problem.path).read_text()
    return problem


def test_subgraph_used_twice_is_two_sets_of_nodes(tmp_path):
    graph = loaded(tmp_path)
    assert list(graph.nodes) == ["call", "party", "agent.clean", "agent.heard", "caller.clean", "caller.heard", "kept"]
    inputs = {name: [(i.node, i.port) for i in node.inputs] for name, node in graph.nodes.items()}
    assert inputs["agent.clean"] == [("party", "agent")]
    assert inputs["caller.clean"] == [("party", "customer")]
    assert inputs["agent.heard"] == [("agent.clean", "")]
    assert inputs["kept"] == [("agent.heard", ""), ("caller.heard", "")]


def test_parameter_is_what_its_user_says_or_its_default(tmp_path):
    graph = loaded(tmp_path)
    assert graph.nodes["agent.clean"].config.window == Duration("80ms")
    assert graph.nodes["caller.clean"].config.window == Duration("120ms")


def test_settings_reach_a_parameter_and_a_node_of_a_subgraph(tmp_path):
    graph = loaded(tmp_path, settings=["caller.window=60ms", "agent.heard.gain=2", "agent.heard.queue.max=3s"])
    assert graph.nodes["caller.clean"].config.window == Duration("60ms")
    assert graph.nodes["agent.heard"].config.gain == 2
    assert graph.nodes["agent.heard"].queue.max == Duration("3s")
    assert graph.nodes["caller.heard"].config.gain == 1


def test_setting_of_a_subgraph_that_is_wrong_points_into_the_command_line(tmp_path):
    with pytest.raises(GraphError) as caught:
        loaded(tmp_path, settings=["agent.heard.gian=2", "agent.window=60"])
    assert [(p.path, p.position.column, p.code) for p in caught.value.problems] == [
        ("--set", 19, "unknown-field") if p.code == "unknown-field" else ("--set", 20, "unit-missing")
        for p in caught.value.problems
    ]
    assert len(caught.value.problems) == 2


def test_parameter_inside_a_text_is_filled_in(tmp_path):
    subgraph = WORDS.replace("nodes:", "  all: kept\nnodes:").replace("description: how long to look}", "default: 1s}")
    subgraph = """\
flowcore: 1
parameters: {who: {}, home: {default: "${HOME}"}}
input: voice
nodes:
  kept: {use: store, from: voice, with: {path: "$home/$who/$$who.wav"}}
"""
    graph = loaded(
        tmp_path,
        GRAPH.split("  agent:")[0] + "  agent: {use: ./words.yaml, from: party.agent, with: {who: ann}}\n",
        words=subgraph,
    )
    assert graph.nodes["agent.kept"].config.path == "/root/ann/$who.wav"


def test_dollar_in_the_graph_itself_is_text(tmp_path):
    assert loaded(tmp_path, GRAPH.replace("path: kept", "path: $kept")).nodes["kept"].config.path == "$kept"


def test_subgraph_within_a_subgraph(tmp_path):
    outer = WORDS.replace("use: filter, from: clean", "use: ./inner.yaml, from: [clean], with: {gain: $gain}").replace(
        "parameters:", "parameters:\n  gain: {default: 3}"
    )
    inner = "flowcore: 1\ninput: in_\nparameters: {gain: {}}\noutputs: {out: a}\nnodes:\n  a: {use: filter, from: in_, with: {gain: $gain}}\n"
    graph = loaded(
        tmp_path, settings=["agent.heard.a.mode=skip_late"], words=outer, inner=inner.replace("in_", "within")
    )
    assert graph.nodes["agent.heard.a"].config.gain == 3
    assert graph.nodes["agent.heard.a"].config.mode == "skip_late"
    assert graph.nodes["kept"].inputs[0].node == "agent.heard.a"


def test_text_of_the_subgraphs_is_kept_so_that_a_worker_need_not_read_it_again(tmp_path):
    graph = loaded(tmp_path)
    (tmp_path / "words.yaml").unlink()
    again = load_text(graph.source, graph.path, (), {}, REGISTRY, graph.subgraphs)
    assert list(again.nodes) == list(graph.nodes)
    assert again.nodes["kept"].inputs[0] == Input("agent.heard", "", graph.nodes["kept"].inputs[0].at)


# ruff: noqa: E501  # a table, one row a line
IN_GRAPH = [
    ("unreadable", "No such file", "use: ./words.yaml, from: party.agent", "use: ⟦./wrods.yaml⟧, from: party.agent"),
    ("subgraph-outside", "outside the directory", "use: ./words.yaml, from: party.agent", "use: ⟦../w.yaml⟧, from: party.agent"),
    ("subgraph-outside", "outside the directory", "use: ./words.yaml, from: party.a", "use: ⟦/etc/hosts.yaml⟧, from: party.a"),
    ("unknown-parameter", 'did you mean "window"', "with: {window: 80ms}", "with: {⟦windw⟧: 80ms}"),
    ("unit-missing", "agent.clean (filter): window needs a unit", "window: 80ms", "window: ⟦80⟧"),
    ("bad-with", "a mapping", "with: {window: 80ms}", "with: ⟦80ms⟧"),
    ("unknown-key", "write queue at a node", "from: party.customer}", "from: party.customer, ⟦queue⟧: {max: 1s}}"),
    ("unknown-key", "keys of a sub-graph's use", "from: party.customer}", "from: party.customer, ⟦color⟧: red}"),
    ("unknown-port", 'did you mean "text"', "caller.text", "⟦caller.txet⟧"),
    ("unknown-upstream", 'did you mean "agent"', "[agent, caller.text]", "[⟦agnet⟧, agent, caller.text]"),
    ("repeated-input", "comes in twice", "[agent, caller.text]", "[agent, ⟦agent.text⟧, caller.text]"),
    ("missing-from", "does not say which", "  caller: {use: ./words.yaml, from: party.customer}", "  ⟦caller⟧: {use: ./words.yaml}"),
    ("bad-name", "no name for a node", "caller: {use: ./words.yaml, from: party.customer}\n", "caller: {use: ./words.yaml, from: party.customer}\n  ⟦Third⟧: {use: ./sink.yaml, from: call}\n"),
]  # fmt: skip
SINK = "flowcore: 1\ninput: voice\nnodes: {lamp: {use: lamp, from: voice}}\n"


@pytest.mark.parametrize(("code", "says", "old", "new"), IN_GRAPH)
def test_wrong_use_of_a_subgraph(tmp_path, code, says, old, new):
    assert old in GRAPH
    problem = problem_of(tmp_path, GRAPH.replace(old, new), sink=SINK)
    assert problem.code == code
    assert says in str(problem)


IN_SUBGRAPH = [
    ("yaml-syntax", "not YAML", "{text: heard}\nnodes:", "{text: heard\nnodes⟦:⟧"),
    ("not-a-graph", "empty", WORDS, "⟦⟧"),
    ("unknown-version", "version 1", "flowcore: 1", "flowcore: ⟦2⟧"),
    ("missing-input", "names its input", WORDS, "⟦flowcore: 1⟧\n" + WORDS.split("\n", 1)[1].replace("input: voice\n", "")),
    ("bad-input", "a name", "input: voice", "input: ⟦[voice]⟧"),
    ("bad-input", "both called heard", "input: voice", "input: ⟦heard⟧"),
    ("bad-outputs", 'did you mean "heard"', "{text: heard}", "{text: ⟦herd⟧}"),
    ("bad-outputs", "mapping of names", "{text: heard}", "⟦[heard]⟧"),
    ("bad-parameters", "mapping of names", "parameters:\n  window: {default: 120ms, description: how long to look}", "parameters: ⟦[window]⟧"),
    ("bad-parameters", "is no mapping", "{default: 120ms, description: how long to look}", "⟦120ms⟧"),
    ("unknown-key", 'did you mean "default"', "default", "⟦defualt⟧"),
    ("unknown-parameter", 'did you mean "window"', "{window: $window}", "{window: $window, gain: ⟦$windw⟧}"),
    ("unused-parameter", "no node of the sub-graph uses", "parameters:", "parameters:\n  ⟦colour⟧: {default: red}"),
    ("unknown-node-type", 'did you mean "filter"', "heard: {use: filter", "heard: {use: ⟦filtre⟧"),
    ("unknown-field", 'no field "colour"', "{window: $window}", "{window: $window, ⟦colour⟧: red}"),
    ("unknown-upstream", 'there is no node "cleen" in this sub-graph', "from: clean", "from: ⟦cleen⟧"),
    ("dead-end", "leads nowhere", "  heard:", "  ⟦lost⟧: {use: filter, from: clean}\n  heard:"),
    ("listener-in-subgraph", "accepts calls", "  heard:", "  other: {use: ⟦phone⟧}\n  heard:"),
    ("unknown-key", "a graph has no key", "flowcore: 1", "flowcore: 1\n⟦color⟧: red"),
    ("subgraph-in-itself", "uses itself", "heard: {use: filter", "heard: {use: ⟦./words.yaml⟧"),
    ("subgraph-in-itself", "uses itself", "heard: {use: filter", "heard: {use: ⟦./g.yaml⟧"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "says", "old", "new"), IN_SUBGRAPH)
def test_wrong_subgraph_is_shown_once_in_its_own_file(tmp_path, code, says, old, new):
    assert old in WORDS
    one_use = GRAPH.replace("  caller: {use: ./words.yaml, from: party.customer}\n", "").replace(", caller.text", "")
    with pytest.raises(GraphError) as caught:
        loaded(tmp_path, one_use, words=marked(WORDS.replace(old, new, 1))[0])
    [expected] = marked(WORDS.replace(old, new, 1))[1]
    found = [p for p in caught.value.problems if p.code == code and p.path.endswith("words.yaml")]
    assert [(p.position.line, p.position.column, p.position.length) for p in found] == [
        (*expected[:2], max(1, expected[2]))
    ]
    assert says in str(found[0])


def test_wrong_default_is_shown_once_for_both_uses(tmp_path):
    problems = problem_of(tmp_path, GRAPH.replace(", with: {window: 80ms}", ""), words=WORDS.replace("120ms", "⟦120⟧"))
    assert problems.code == "unit-missing"


def test_parameter_without_default_must_be_given(tmp_path):
    needed = WORDS.replace("default: 120ms, ", "")
    problem = problem_of(tmp_path, GRAPH.replace("  caller:", "  ⟦caller⟧:"), words=needed)
    assert problem.code == "missing-parameter"
    assert "window: how long to look" in problem.help


def test_subgraphs_that_multiply_are_refused(tmp_path):
    both = "flowcore: 1\ninput: voice\noutputs: {a: x}\nnodes:\n"
    files = {
        f"p{n}": both + f"  x: {{use: ./p{n + 1}.yaml, from: voice}}\n  y: {{use: ./p{n + 1}.yaml, from: voice}}\n"
        for n in range(30)
    }
    graph = "flowcore: 1\nnodes:\n  call: {use: phone}\n  a: {use: ./p0.yaml, from: call}\n  l: {use: lamp, from: a}\n"
    with pytest.raises(GraphError) as caught:
        loaded(tmp_path, graph, **files, p30=SINK)
    assert "too-many-subgraphs" in {problem.code for problem in caught.value.problems}


def test_keys_of_a_subgraph_are_explained_in_a_graph(tmp_path):
    problem = problem_of(tmp_path, GRAPH.replace("nodes:", "⟦input⟧: x\nnodes:"))
    assert "use: ./FILE.yaml" in problem.help
