"""The graph and its test, written to a folder."""

import pytest

from tests.scenario.graph import GRAPH, ODD, TEST


@pytest.fixture
def written(tmp_path):
    """Write a graph, a node and a test file into a directory; the test file."""

    def write(test=TEST, odd="emit(chunk)", graph=GRAPH):
        (tmp_path / "g.yaml").write_text(graph)
        (tmp_path / "mine.py").write_text(ODD.format(odd))
        (tmp_path / "t.yaml").write_text(test)
        return tmp_path / "t.yaml"

    return write
