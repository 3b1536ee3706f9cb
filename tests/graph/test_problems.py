"""Problems are sorted, and those of the command line show its argument."""

from flowcore.diagnostics import Position
from flowcore.errors import GraphError
from flowcore.graph.problems import Problems

LINE = "  speech: {use: resampel, from: voices}"


def test_problem_of_the_command_line_shows_the_argument():
    problems = Problems("g.yaml", LINE)
    problems.add("unknown-node", "there is no node", Position(1, 7, 6, "--set speach.rate=1"))
    [problem] = problems.sorted()
    assert str(problem) == (
        "--set: error[unknown-node]: there is no node\n     | --set speach.rate=1\n     |       ^^^^^^"
    )


def test_problems_are_in_the_order_of_the_file_and_the_command_line_comes_last():
    problems = Problems("g.yaml", "a\nb\n")
    for at in (Position(1, 1, 1, "--set x"), Position(2, 1), Position(1, 2), Position(1, 1)):
        problems.add("x", "x", at)
    assert [(p.path, p.position.line, p.position.column) for p in problems.sorted()] == [
        ("g.yaml", 1, 1),
        ("g.yaml", 1, 2),
        ("g.yaml", 2, 1),
        ("--set", 1, 1),
    ]
    assert str(GraphError(problems.sorted())).count("error[x]") == 4
