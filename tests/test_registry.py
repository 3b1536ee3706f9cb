"""Nodes of installed packages, and what becomes of two that bring the same name."""

import importlib.metadata
import sys

import pytest

from flowcore.errors import BrokenImport, GraphError, NameClash
from flowcore.graph.load import load_text
from flowcore.registry import Entry, available

NODE = (
    'from flowcore import Sink, node\n\n@node("{0}")\nclass {1}(Sink):\n    def process(self, chunk):\n        pass\n'
)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Install packages: a name, its entry points, its module."""

    def install(name, points, module):
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (folder / "entry_points.txt").write_text(f"[flowcore.nodes]\n{points}\n")
        (tmp_path / f"{name}.py").write_text(module)
        available.cache_clear()

    monkeypatch.syspath_prepend(tmp_path)
    yield install
    available.cache_clear()
    for name in ("bells", "horns"):
        sys.modules.pop(name, None)


GRAPH = (
    "flowcore: 1\nnodes:\n  call: {use: ringcx}\n  order: {use: reorder, from: call}\n  b: {use: bell, from: order}\n"
)


def test_two_packages_that_bring_one_name_are_both_named_where_it_is_used(site):
    site("bells", "bell = bells:Bell", NODE.format("bell", "Bell"))
    site("horns", "bell = horns:Bell", NODE.format("bell", "Bell"))
    with pytest.raises(NameClash) as caught:
        available()["bell"].load()
    assert set(caught.value.places) == {"bells", "horns"}
    with pytest.raises(GraphError) as problems:
        load_text(GRAPH)
    [problem] = problems.value.problems
    assert (problem.code, problem.position.line, problem.position.column) == ("name-clash", 5, 12)
    assert "bells" in problem.message
    assert "horns" in problem.message


def test_package_listed_twice_does_not_clash_with_itself(site, monkeypatch):
    site("bells", "bell = bells:Bell", NODE.format("bell", "Bell"))
    points = importlib.metadata.entry_points(group="flowcore.nodes")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [*points, *points])
    available.cache_clear()
    assert available()["bell"].load().name == "bell"


def test_package_that_breaks_is_shown_with_its_own_lines(site):
    site("bells", "bell = bells:Bell", "VALUE = 1\nOTHER = VALUE.nothing\n")
    with pytest.raises(BrokenImport, match="AttributeError"):
        available()["bell"].load()
    with pytest.raises(GraphError) as problems:
        load_text(GRAPH)
    assert problems.value.problems[0].code == "broken-node"


def test_entry_point_of_a_package_that_is_gone_hides_no_other(site):
    site("bells", "all = no_such_package_here", "")
    assert "reorder" in available()


def test_entry_that_names_nothing_says_what_is_missing():
    with pytest.raises(BrokenImport, match="no_such"):
        Entry("bell", "no_such.module").load()
