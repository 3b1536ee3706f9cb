"""`flowcore graph`: one of three languages, to standard output or a file."""

from pathlib import Path

import pytest

RECORD = Path(__file__).parents[2] / "graphs" / "record.yaml"


@pytest.mark.parametrize(("form", "start"), [("svg", "<svg "), ("mermaid", "flowchart TD\n"), ("dot", "digraph {\n")])
def test_a_picture_goes_where_it_is_wanted(flowcore, tmp_path, form, start):
    printed = flowcore("graph", RECORD, "--format", form)
    assert printed.code == 0
    assert printed.out.startswith(start)
    written = flowcore("graph", RECORD, "--format", form, "-o", tmp_path / "picture")
    assert (written.code, written.out) == (0, "")
    assert (tmp_path / "picture").read_text() == printed.out


def test_settings_show(flowcore):
    assert "7s, drop_newest" in flowcore("graph", RECORD, "--set", "wav.queue.max=7s").out


def test_wrong_graph_and_wrong_format_are_told(flowcore, tmp_path):
    (tmp_path / "g.yaml").write_text("flowcore: 1\n")
    assert "error[missing-nodes]" in flowcore("graph", tmp_path / "g.yaml").err
    assert flowcore("graph", RECORD, "--format", "png").code == 2
