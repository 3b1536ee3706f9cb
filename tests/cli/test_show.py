"""Results on standard output, and errors on standard error."""

import pytest
from rich.table import Table
from rich.text import Text

from flowcore.cli.show import show_error, show_result, whole_columns

LONG = "a_name_that_is_longer_than_any_narrow_terminal"


def table():
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row(Text(LONG), Text("one two three four five six seven eight nine ten eleven twelve"))
    table.add_row(Text("short"), Text("one"))
    return whole_columns(table)


def test_a_pipe_has_a_row_on_one_line_without_trailing_spaces(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    show_result(table())
    lines = capsys.readouterr().out.split("\n")
    assert lines == [
        f"{LONG}  one two three four five six seven eight nine ten eleven twelve",
        f"{'short':<{len(LONG)}}  one",
        "",
    ]


def test_prose_in_a_pipe_can_have_a_width(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    show_result(Text("word " * 30), piped_width=20)
    assert {len(line) for line in capsys.readouterr().out.splitlines()} <= set(range(1, 21))


@pytest.mark.parametrize("columns", ["10", "60", "80"])
def test_no_word_is_cut_at_any_width(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    show_result(table())
    words = capsys.readouterr().out.split()
    assert {LONG, "eleven", "seven"} <= set(words)


def test_an_error_is_on_standard_error_on_one_line(capsys):
    show_error("the first line is longer than eighty columns, which a terminal wraps by itself, as it may\nsee more")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: the first line")
    assert len(captured.err.splitlines()) == 2
