"""Whatever stands in a file or on the command line: a graph comes out, or problems that can be printed."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowcore.errors import GraphError
from flowcore.graph.load import load_text
from tests.graph.nodes import GOOD, REGISTRY

WORDS = sorted(
    {*re.findall(r"\w+|[^\w\s]", GOOD), "\n", "  ", "- ", "? ", "| ", "&a ", "*a ", "!!str ", "<<: ", "${", "\t"}
)
VALUES = [
    "",
    "1",
    "-1",
    "1e9",
    "~",
    "no",
    "[]",
    "{}",
    "[a, b]",
    "{a: b}",
    "'",
    "5s",
    "*x",
    "${A}",
    "x" * 99,
    ".",
    "a.b.c",
]


def check(text, settings=()):
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    problems = []
    try:
        assert load_text(text, "g.yaml", settings, {"A": "a"}, REGISTRY).nodes["call"].inputs == ()
    except GraphError as error:
        problems = error.problems or [None]
    for problem in problems:
        assert all(line.isprintable() for line in str(problem).split("\n"))
        if not problem.position.argument:
            assert problem.line == lines[problem.position.line - 1]
            assert 1 <= problem.position.column <= len(problem.line) + 1


@pytest.mark.fault(42)
@given(st.text())
@example("\ufeff")
@example("\ufeff\ufeff")
@example("a\r\rb: [")
@example('"\\U0001F4DE\\x1b[2J": 1')
@example("? ")
@example("|\n")
@example("a: |\n  text\nb: >-\n  more")
def test_any_text(text):
    check(text)


@example("---")
@given(st.lists(st.sampled_from(WORDS), max_size=60).map("".join))
def test_any_row_of_words_that_graphs_are_made_of(text):
    check(text)


@given(st.integers(0, len(GOOD)), st.integers(0, 30), st.text(max_size=8) | st.sampled_from(WORDS))
def test_good_graph_with_a_piece_replaced(start, length, piece):
    check(GOOD[:start] + piece + GOOD[start + length :])


@given(st.data())
def test_good_graph_with_words_replaced(data):
    words = re.split(r"(\w+)", GOOD)
    for _ in range(data.draw(st.integers(1, 5))):
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(st.sampled_from(WORDS + VALUES))
    check("".join(words))


@given(st.permutations(GOOD.splitlines()), st.integers(1, 15))
def test_good_graph_with_lines_in_any_order(lines, count):
    check("\n".join(["flowcore: 1", "nodes:", *lines[:count]]))


@given(
    st.lists(
        st.text(max_size=20)
        | st.builds(
            "{}.{}={}".format,
            st.sampled_from(["call", "loud", "agent", "kept"]),
            st.sampled_from(
                ["port", "greeting", "queue", "queue.max", "detector", "detector.level", "weights", "path.x"]
            ),
            st.sampled_from(VALUES) | st.text(max_size=10),
        ),
        max_size=4,
    )
)
@pytest.mark.slow
def test_any_settings(settings):
    check(GOOD, settings)
