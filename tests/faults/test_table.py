"""docs/faults.md names tests that exist, for every row there is."""

import ast
import re

import pytest

from tests.support.live import ROOT

TABLE = (ROOT / "docs" / "faults.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", TABLE)))
ROWS = re.findall(r"^\| ([\d, -]+) \|.*\| (.+) \|$", TABLE, re.MULTILINE)


def numbers(cell):
    for part in cell.split(","):
        first, _, last = part.strip().partition("-")
        yield from range(int(first), int(last or first) + 1)


@pytest.mark.parametrize(("file", "name"), NAMED, ids=map("::".join, NAMED))
def test_the_test_exists(file, name):
    tree = ast.parse((ROOT / "tests" / file).read_text())
    there = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    there |= {target.id for one in tree.body if isinstance(one, ast.Assign) for target in one.targets
              if isinstance(target, ast.Name)}  # fmt: skip
    assert name in there


def test_every_row_is_there_once_and_has_a_test_or_says_later():
    assert sorted(number for cell, _ in ROWS for number in numbers(cell)) == list(range(1, 53))
    for cell, tests in ROWS:
        assert tests == "later" or "`" in tests, cell


def test_every_test_that_is_named_after_a_row_is_in_the_table():
    for path in (ROOT / "tests" / "faults").glob("test_*.py"):
        for one in ast.parse(path.read_text()).body:
            if isinstance(one, ast.FunctionDef) and re.match(r"test_(rows?_\d|isolation)", one.name):
                assert (f"faults/{path.name}", one.name) in NAMED


def test_an_order_of_tests_is_picked_by_its_seed(monkeypatch):
    from tests.conftest import pytest_collection_modifyitems as order

    orders = []
    for seed in ("1", "2", "1", ""):
        monkeypatch.setenv("FLOWCORE_TEST_ORDER", seed)
        orders.append(list(range(100)))
        order(orders[-1])
    assert orders[0] == orders[2] != orders[1]
    assert orders[3] == sorted(orders[0]) == list(range(100))
