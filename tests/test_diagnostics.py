"""Problems look like a compiler's, and misspelt names get suggestions."""

from flowcore.diagnostics import MAX_EXCERPT, Position, Problem, did_you_mean

LINE = "  speech: {use: resampel, from: voices}"


def caret_covers(problem):
    _, excerpt, caret, *_ = str(problem).split("\n")
    return excerpt[caret.index("^") : caret.rindex("^") + 1]


def test_problem_looks_like_a_compilers():
    problem = Problem(
        "unknown-node-type",
        'there is no node "resampel"',
        "graphs/x.yaml",
        Position(7, 17, 8),
        LINE,
        'did you mean "resample"?',
    )
    assert (
        str(problem)
        == """\
graphs/x.yaml:7:17: error[unknown-node-type]: there is no node "resampel"
   7 |   speech: {use: resampel, from: voices}
     |                 ^^^^^^^^
     = did you mean "resample"?"""
    )


def test_long_line_is_cut_around_the_caret():
    line = "a" * 5000 + "WRONG" + "b" * 5000
    problem = Problem("x", "x", "g.yaml", Position(1, 5001, 5), line)
    assert caret_covers(problem) == "WRONG"
    assert max(map(len, str(problem).split("\n"))) <= MAX_EXCERPT + 7


def test_caret_does_not_go_beyond_its_line():
    assert caret_covers(Problem("x", "x", "g.yaml", Position(1, 17, 500), LINE)) == "resampel, from: voices}"


def test_tab_in_the_line_does_not_move_the_caret():
    assert caret_covers(Problem("x", "x", "g.yaml", Position(1, 3, 1), "\ta")) == ""
    assert caret_covers(Problem("x", "x", "g.yaml", Position(1, 2, 1), "\ta")) == "a"


def test_nothing_in_a_message_can_move_the_cursor():
    problem = Problem("x", 'no node "\x1b[2J\u202e\n"', "g.yaml", Position(1, 1), "\x1b", "\r")
    assert str(problem).split("\n") == [
        'g.yaml:1:1: error[x]: no node "·[2J· "',
        "   1 | ·",
        "     | ^",
        "     =  ",
    ]


def test_help_names_what_was_most_likely_meant():
    assert did_you_mean("resampel", ["split", "resample"]) == 'did you mean "resample"?'
    assert did_you_mean("xyz", ["split", "resample"], "look around") == "look around"
