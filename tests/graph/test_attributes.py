"""Path templates use attributes that the graph's listener declares, and no others."""

from typing import Any

import pytest
from pydantic import BaseModel

from flowcore import Config, LocalPath, PathTemplate, Sink, node
from flowcore.errors import GraphError
from flowcore.graph.load import load, load_text
from flowcore.registry import Entry
from tests.graph.nodes import REGISTRY, Phone
from tests.graph.test_load import marked


class Inner(BaseModel):
    notes: PathTemplate = PathTemplate("{flow}.txt")
    """Where notes go."""


class WriterConfig(Config):
    path: PathTemplate = PathTemplate("{started}/{flow}.wav")
    """Where audio goes."""

    copies: tuple[PathTemplate, ...] = ()
    """Where it goes too."""

    by_name: dict[str, PathTemplate] = {}
    """More of that."""

    inner: Inner = Inner()
    """More of that."""

    key: LocalPath = LocalPath("")
    """A file that exists."""


@node("writer")
class Writer(Sink[Any, WriterConfig]):
    """Write."""

    def process(self, chunk: Any) -> None:
        pass


@node("silent")
class Silent(Phone):
    """Says nothing of its calls."""

    attributes = {}


WITH_WRITER = REGISTRY | {cls.name: Entry(cls.name, __name__, cls.__name__) for cls in (Writer, Silent)}
GRAPH = "flowcore: 1\nnodes:\n  call: {use: phone}\n  wav: {use: writer, from: call, with: {WITH}}\n"


def problem_of(with_, settings=(), environ=None, graph=GRAPH):
    text, places = marked(graph.replace("WITH", with_))
    with pytest.raises(GraphError) as caught:
        load_text(text, "g.yaml", settings, environ or {}, WITH_WRITER)
    [problem] = caught.value.problems
    at = problem.position
    assert places in ([], [(at.line, at.column, at.length)])
    return problem


def test_declared_attributes_and_the_engines_own_fields_are_accepted():
    with_ = 'path: "{started:%Y}/{call_id}-{caller}-{flow}.wav", copies: ["{caller}.wav"], by_name: {a: "{caller}"}'
    config = load_text(GRAPH.replace("WITH", with_), "g.yaml", (), {}, WITH_WRITER).nodes["wav"].config
    assert config.path.attributes == ["call_id", "caller"]


@pytest.mark.parametrize(
    ("with_", "field", "help"),
    [
        ('path: "a/⟦{callr⟧}.wav"', "path uses {callr}", 'did you mean "caller"?'),
        ('path: "⟦{ani⟧}.wav"', "path uses {ani}", "it gives flow, started, call_id and caller"),
        ('path: "⟦{flo⟧}.wav"', "path uses {flo}", 'did you mean "flow"?'),
        ('copies: ["{caller}.wav", "{call}.wav"]', "copies uses {call}", 'did you mean "caller"?'),
        ('by_name: {other: "⟦{call⟧}.wav"}', "by_name.other uses {call}", 'did you mean "caller"?'),
        ('inner: {notes: "⟦{call⟧}.wav"}', "inner.notes uses {call}", 'did you mean "caller"?'),
    ],
)
def test_attribute_that_the_listener_does_not_declare_is_shown_in_its_field(with_, field, help):
    problem = problem_of(with_)
    assert problem.code == "unknown-attribute"
    assert problem.message == f"wav: {field}, which call (phone) does not give"
    assert problem.help == help


def test_listener_without_attributes_leaves_the_engines_own_fields():
    problem = problem_of('path: "⟦{caller⟧}.wav"', graph=GRAPH.replace("use: phone", "use: silent"))
    assert problem.help == "it gives flow and started"


def test_setting_of_the_command_line_is_checked_too():
    problem = problem_of("", ["wav.path=x/{callr}.wav"])
    assert (problem.path, problem.position.column, problem.position.length) == ("--set", 18, 6)


def test_attribute_from_the_environment_is_not_shown():
    problem = problem_of('path: ⟦"${PLACE}.wav"⟧', environ={"PLACE": "{secret}"})
    assert problem.message == "wav: path uses an attribute, which call (phone) does not give"


def test_template_in_a_subgraph_is_checked_against_the_listener_of_the_graph(tmp_path):
    text, [place] = marked(
        "flowcore: 1\ninput: voice\nparameters: {who: {}}\nnodes:\n"
        '  wav: {use: writer, from: voice, with: {path: "$who/⟦{callr⟧}.wav", inner: {notes: "{caller}.txt"}}}\n'
    )
    (tmp_path / "voice.yaml").write_text(text)
    (tmp_path / "g.yaml").write_text(
        "flowcore: 1\nnodes:\n  call: {use: phone}\n  party: {use: halves, from: call}\n"
        "  agent: {use: ./voice.yaml, from: party.agent, with: {who: agent}}\n"
        "  caller: {use: ./voice.yaml, from: party.customer, with: {who: caller}}\n"
    )
    with pytest.raises(GraphError) as caught:
        load(tmp_path / "g.yaml", (), {}, WITH_WRITER)
    [problem] = caught.value.problems
    at = problem.position
    assert (at.path, at.line, at.column, at.length) == (str(tmp_path / "voice.yaml"), *place)
    assert problem.help == 'did you mean "caller"?'


def test_graph_without_a_listener_has_that_problem_only():
    problem = problem_of('path: "{callr}.wav"', graph=GRAPH.replace("call: {use: phone}", "call: {use: fone}"))
    assert problem.code == "unknown-node-type"


@pytest.mark.parametrize("field", ["path: ", "inner: {notes: ", "copies: [", "key: "])
def test_url_is_no_path(field):
    end = {"{": "}", "[": "]"}.get(field.strip()[-1], "}" if "{" in field else "")
    problem = problem_of(f'{field}"s3://bucket/x.wav"{end}')
    assert problem.code == "bad-value"
    assert "is a URL, not a file of this machine" in problem.message
