import pytest

from flowcore.top.columns import CALL_WIDTH, COLUMNS, cell, fitting, titles
from tests.support.live_data import row


@pytest.mark.parametrize("width", range(28, 200, 3))
@pytest.mark.parametrize("processes", [1, 4])
def test_a_row_is_never_wider_than_the_terminal(width, processes):
    columns = fitting(width, processes)
    call = row("x" * 60, age_s=99_999, lost_ms=99_999, lost_recent_ms=99_999, latency_ms=99_999)
    line = " ".join(cell(column, cells, call) for column, cells in columns)
    assert len(line) < width
    assert len(" ".join(titles(columns))) == len(line)
    assert {"call", "state", "lost"} <= {column.title for column, _ in columns}


def test_the_least_needed_columns_go_first():
    def shown(width, processes=4):
        return [column.title for column, _ in fitting(width, processes)]

    assert shown(140) == [column.title for column in COLUMNS]
    assert shown(140, 1) == [column.title for column in COLUMNS[:-1]]
    assert "worker" not in shown(80)
    assert "agent" not in shown(70)
    assert "agent" in shown(80)
    assert shown(38) == ["", "call", "state", "lost"]
    assert {column.title: width for column, width in fitting(200, 1)}["call"] == CALL_WIDTH


def test_a_cell_that_is_too_long_says_so():
    call_column = COLUMNS[1]
    assert cell(call_column, 8, row("0123456789")) == "0123456…"
    assert cell(call_column, 8, row("012\x1b")) == "012·    "
    assert cell(COLUMNS[6], 7, row(lost_ms=40)) == "  40 ms"


def test_a_call_without_an_id_has_the_name_of_its_flow():
    assert cell(COLUMNS[1], 30, row("", flow="20261224T181500-ab")).strip() == "20261224T181500-ab"
