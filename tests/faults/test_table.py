"""docs/faults.md names the tests that carry the mark of its rows, and each row has one."""

import pytest

from tests.faults.table import PAGE, ROW, marked_tests, written


@pytest.mark.slow
def test_the_page_names_the_tests_that_carry_its_marks():
    assert written(PAGE.read_text()) == PAGE.read_text(), "run  make docs"


def test_every_row_is_there_once_and_has_a_test():
    rows = [int(row[0]) for row in ROW.findall(PAGE.read_text())]
    assert rows == list(range(1, len(rows) + 1))
    assert sorted(marked_tests()) == rows


@pytest.mark.fault(51)
def test_an_order_of_tests_is_picked_by_its_seed(monkeypatch):
    from tests.conftest import pytest_collection_modifyitems as order

    orders = []
    for seed in ("1", "2", "1", ""):
        monkeypatch.setenv("FLOWCORE_TEST_ORDER", seed)
        orders.append(list(range(100)))
        order(orders[-1])
    assert orders[0] == orders[2] != orders[1]
    assert orders[3] == sorted(orders[0]) == list(range(100))
