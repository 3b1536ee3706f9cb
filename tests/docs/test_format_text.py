"""The examples on the page about numbers are what flowcore writes."""

import re

import pytest

from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from nodes.formatting.written import written
from tests.support.live import ROOT

PAGE = (ROOT / "docs" / "format-text.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \|(?: ([^|]+) \|)?$", PAGE, re.M)


@pytest.mark.parametrize(("spoken", "expected"), [row for row in ROWS if "spoken" not in row[0]])
def test_an_example_is_what_is_written(spoken, expected):
    assert written(spoken)[0] == (expected or spoken)


def test_its_nodes_fit_into_the_graph_that_transcribes():
    (nodes,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
    graph = re.sub(r"^  show: .*\n", "", (ROOT / "graphs" / "transcribe.yaml").read_text(), flags=re.M)
    assert {"written", "show"} <= compile_graph(load_text(graph + nodes)).nodes.keys()
