"""Problems of test files have their places."""

# ruff: noqa: E501  # tables, one row a line
import pytest

from flowcore.errors import GraphError
from flowcore.scenario.load import load
from tests.graph.test_load import marked
from tests.scenario.graph import TEST

PROBLEMS = [
    ("not-a-test", "no mapping", TEST, "⟦[a]⟧\n"),
    ("not-a-test", "check it with  flowcore check", TEST, "flowcore: 1\n⟦nodes⟧: {}\n"),
    ("yaml-syntax", "not YAML", "  it_records:\n", "  it_records: x⟦:⟧ y\n"),
    ("unreadable", "cannot be read", "graph: g.yaml", "graph: ⟦other.yaml⟧"),
    ("missing-field", 'needs "graph"', "flowcore: 1\ngraph: g.yaml\n", "⟦flowcore: 1⟧\n"),
    ("bad-value", "flowcore", "flowcore: 1", "flowcore: ⟦2⟧"),
    ("unknown-field", 'did you mean "input"', "    input:", "    ⟦inputs⟧:"),
    ("unknown-field", 'did you mean "tone"', "{tone: 2s}", "{⟦tnoe⟧: 2s, silence: 1s}"),
    ("bad-value", "give exactly one of tone, silence, wav", "{tone: 2s}", "⟦{tone: 2s, silence: 1s}⟧"),
    ("unit-missing", "needs a unit", "tone: 2s", "tone: ⟦2⟧"),
    ("unknown-node", 'did you mean "ordered"', "{ordered: {in", "{⟦orderd⟧: {in"),
    ("unknown-node", "no node", "    expect:", "    catch: [⟦waw⟧]\n    expect:"),
    ("not-a-sink", "no sink", "    expect:", "    catch: [⟦odd⟧]\n    expect:"),
    ("unknown-node", "no node", "    expect:", "    faults: [{slow: {⟦node⟧: waw}}]\n    expect:"),
    ("fault-at-listener", "accepts calls", "    expect:", "    faults: [{fail: {⟦node⟧: call}}]\n    expect:"),
    ("unknown-field", 'did you mean "loss"', "    expect:", "    faults: [{⟦lsos⟧: {at: 1s, length: 1s}, loss: {at: 1s, length: 1s}}]\n    expect:"),
    ("missing-field", 'loss.length', "    expect:", "    faults: [{⟦loss⟧: {at: 1s}}]\n    expect:"),
    ("not-caught", "is not caught", "lasts: 3s", "caught: {⟦wav⟧: {chunks: 1}}"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "says", "old", "new"), PROBLEMS)
def test_problem_of_a_test_file_has_its_place(written, code, says, old, new):
    assert old in TEST
    text, [expected] = marked(TEST.replace(old, new, 1))
    with pytest.raises(GraphError) as caught:
        load(written(text))
    problem = next(p for p in caught.value.problems if p.code == code)
    at = problem.position
    assert (problem.path.rpartition("/")[2], at.line, at.column) == ("t.yaml", *expected[:2])
    assert says in str(problem)


def test_faults_of_the_input_need_an_input(written):
    test = "flowcore: 1\ngraph: g.yaml\ntests: {a: {faults: [{loss: {at: 1s, length: 1s}}]}}\n"
    with pytest.raises(GraphError) as caught:
        load(written(test))
    assert caught.value.problems[0].code == "fault-without-input"
