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


@pytest.mark.parametrize(("name", "start"), [("x.svg", "<svg "), ("x.mmd", "flowchart TD\n"), ("x.DOT", "digraph {\n")])
def test_the_end_of_a_file_says_its_language(flowcore, tmp_path, name, start):
    assert flowcore("graph", RECORD, "-o", tmp_path / name).code == 0
    assert (tmp_path / name).read_text().startswith(start)


def test_a_file_of_another_kind_is_not_written(flowcore, tmp_path):
    outcome = flowcore("graph", RECORD, "-o", tmp_path / "x.png")
    assert (outcome.code, (tmp_path / "x.png").exists()) == (2, False)
    assert "no picture is called .png: .svg, .mmd and .dot are" in outcome.err


def test_settings_show(flowcore):
    assert "7s, drop_newest" in flowcore("graph", RECORD, "--set", "wav.queue.max=7s").out


def test_wrong_graph_and_wrong_format_are_told(flowcore, tmp_path):
    (tmp_path / "g.yaml").write_text("flowcore: 1\n")
    assert "error[missing-nodes]" in flowcore("graph", tmp_path / "g.yaml").err
    assert flowcore("graph", RECORD, "--format", "png").code == 2
