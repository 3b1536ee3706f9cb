"""Errors of a node's own code are problems of the graph, at the node's place and with its author's lines."""

import pytest

from flowcore.errors import GraphError
from flowcore.graph.negotiate import compile_graph
from tests.graph.test_imports import GRAPH, MINE, loaded

REFUSES = MINE.replace(
    "    def process",
    """\
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        raise ValueError(f"no gain of {config.gain:g}")

    def process""",
)


def test_node_that_cannot_be_made_is_a_problem_of_its_place(tmp_path):
    with pytest.raises(GraphError) as caught:
        loaded(tmp_path, mine=REFUSES)
    problem = next(p for p in caught.value.problems if p.code == "broken-node")
    assert problem.message == "loud (louder) cannot be made: ValueError: no gain of 3"
    assert (problem.position.line, problem.position.column) == (5, 15)
    assert problem.trace == ('mine.py:17, in __init__: raise ValueError(f"no gain of {config.gain:g}")',)


@pytest.mark.parametrize("asked", ["accepts", "make_resource", "gives", "latency"])
def test_node_that_cannot_say_what_it_takes_gives_or_shares_is_one_too(tmp_path, asked):
    mine = MINE.replace(
        "    def process",
        f"""\
    @classmethod
    def {asked}(cls, *args: Any) -> Any:
        return len(1)

    def process""",
    )
    with pytest.raises(GraphError) as caught:
        compile_graph(loaded(tmp_path, mine=mine))
    (problem,) = caught.value.problems
    assert problem.code == "broken-node"
    assert problem.message.endswith("TypeError: object of type 'int' has no len()")
    assert (problem.position.line, problem.position.column) == (5, 15)
    assert problem.trace == (f"mine.py:17, in {asked}: return len(1)",)


def test_node_that_cannot_be_made_tells_no_secret(tmp_path):
    mine = REFUSES.replace("gain: float = 2.0", "gain: SecretStr").replace(
        "config.gain:g", "config.gain.get_secret_value()"
    )
    mine = mine.replace("no gain of {", "a-secret-word is {").replace(
        "from flowcore", "from pydantic import SecretStr\n\nfrom flowcore", 1
    )
    with pytest.raises(GraphError) as caught:
        loaded(tmp_path, GRAPH.replace("gain: 3", "gain: '${WORD}'"), mine)
    problem = next(p for p in caught.value.problems if p.code == "broken-node")
    assert problem.message == "loud (louder) cannot be made: ValueError"
    assert "a-secret-word" not in str(problem)
