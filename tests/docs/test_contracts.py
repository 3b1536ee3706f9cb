"""Every rule of the contracts names a test, and every named test exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("node.md", "border.md")
NAMED = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")


@cache
def functions_of(path):
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_contract_names_exists(page):
    named = NAMED.findall((ROOT / "docs" / page).read_text())
    assert len(named) > 8
    missing = [f"{file}::{name}" for file, name in named if name not in functions_of(ROOT / "tests" / file)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_rule_names_a_test(page):
    lines = (ROOT / "docs" / page).read_text().splitlines()
    rows = [line for line in lines if line.startswith("|") and not line.startswith(("| rule", "| `on_full`", "|---"))]
    assert len(rows) > 8
    assert [row for row in rows if not NAMED.search(row)] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_between_the_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "docs" / page).read_text()):
        assert (ROOT / "docs" / target).exists(), target
