"""A test of a graph fails when the graph is broken, and when what is expected is not so."""

# ruff: noqa: E501  # tables, one row a line

import json
from xml.etree import ElementTree

import pytest

from flowcore.cli import main
from tests.scenario.graph import GRAPH, TEST, differences


def test_graph_that_works_passes(written):
    assert differences(written()) == ()


BROKEN = [
    ("a chunk is lost without a word", "if self.count % 7: emit(chunk)", "filled, unexpected"),
    ("both parties are mixed up", "emit(chunk.replace(track={'agent': 'customer', 'customer': 'agent'}[chunk.track]))", "levels"),
    ("sound comes twice", "emit(chunk); emit(chunk)", "dropped, unexpected"),
    ("sound comes late", "emit(chunk.replace(start=chunk.start + 800))", "seconds: expected 2, got 2.1"),
    ("a node raises", "1 / 0", "failed, unexpected: odd: division by zero"),
    ("a node says what nobody expects", "self.report.event('odd'); emit(chunk)", "events, unexpected: odd odd at"),
    ("a node drops and says so", "self.report.dropped('odd', chunk.seconds) if self.count == 1 else emit(chunk)", "dropped, unexpected: odd odd: 1 chunks"),
    ("a node writes a file", "open('left.txt', 'w').close(); emit(chunk)", "files, unexpected: left.txt"),
]  # fmt: skip


@pytest.mark.parametrize(("odd", "says"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_broken_graph_fails(written, odd, says):
    assert any(says in line for line in differences(written(odd=odd)))


def test_end_of_a_graph_that_holds_back_its_last_chunk(written):
    odd = "held = getattr(self, 'held', None); held and emit(held); self.held = chunk"
    assert any("seconds: expected 2, got 1.9" in line or "filled" in line for line in differences(written(odd=odd)))


def test_graph_that_cannot_start_fails(written):
    lines = differences(written(TEST.replace("tests:", 'set: {wav.path: "/proc/no/{flow}.wav"}\ntests:')))
    assert lines[0].startswith("CannotStart: wav")


def test_sink_that_is_caught_never_works(written):
    graph = GRAPH.replace(
        '  wav: {use: wav_file, from: odd, with: {path: "{flow}.wav"}}', "  lamp: {use: lamp, from: odd}"
    )
    test = (
        TEST.partition("    expect:")[0] + "    catch: [lamp]\n    expect: {caught: {lamp: {chunks: 40, seconds: 4}}}\n"
    )
    assert differences(written(test, graph=graph)) == ()
    [line] = differences(written(test.replace("40", "41"), graph=graph))
    assert line == "caught lamp chunks: expected 41, got 40"
    [failed, *_] = differences(
        written(
            test.replace("catch: [lamp]", "calls: 1").replace("caught: {lamp: {chunks: 40, seconds: 4}}", "lasts: 9s"),
            graph=graph,
        )
    )
    assert "ended" in failed


def test_stuck_and_slow_nodes_take_virtual_time(written):
    test = TEST.replace("    expect:", "    faults: [{stuck: {node: wav, at: 0, length: 1h}}]\n    expect:")
    lines = differences(written(test))
    assert any("drain_deadline" in line for line in lines)
    assert any("node_hung wav" in line for line in lines)


# The command.


def command(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["test", *map(str, arguments)])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_exit_codes(written, capsys):
    assert command(capsys, written())[0] == 0
    assert command(capsys, written(TEST.replace("seconds: 2", "seconds: 3")))[0] == 1
    code, _, err = command(capsys, written(TEST.replace("seconds: 2", "secnds: 2")))
    assert code == 2
    assert 'did you mean "seconds"' in err
    code, _, err = command(capsys, written(graph=GRAPH.replace("use: reorder", "use: reordr")))
    assert code == 2
    assert "g.yaml:5:18" in err


def test_failed_test_shows_what_differs_and_where_it_stands(written, capsys):
    path = written(TEST.replace("seconds: 2", "seconds: 3"))
    _, out, _ = command(capsys, path)
    assert f"FAILED  {path}:4: it_records" in out
    assert "seconds: expected 3, got 2.0" in out
    assert "0 passed, 1 failed" in out


def test_outcome_that_was_recorded_is_expected_from_then_on(written, capsys, tmp_path):
    nothing = TEST.partition("    expect:")[0]
    code, out, _ = command(capsys, written(nothing))
    assert code == 1
    assert "the test expects nothing" in out
    assert command(capsys, written(nothing), "--update")[0] == 0
    assert json.loads((tmp_path / "t.recorded.json").read_text())["it_records"]["flows"] == [
        {"failed": [], "reason": "stop"}
    ]
    assert command(capsys, written(nothing))[0] == 0
    code, out, _ = command(capsys, written(nothing, odd="emit(chunk.replace(samples=chunk.samples // 2))"))
    assert code == 1
    assert "sha256: recorded" in out


def test_what_was_recorded_does_not_replace_what_the_file_expects(written, capsys):
    wrong = written(TEST.replace("seconds: 2", "seconds: 3"))
    assert command(capsys, wrong, "--update")[0] == 0
    code, out, _ = command(capsys, wrong)
    assert code == 1
    assert "seconds: expected 3" in out


def test_recording_that_is_damaged_is_said_with_what_helps(written, capsys, tmp_path):
    path = written()
    (tmp_path / "t.recorded.json").write_text('{"it_rec')
    code, _, err = command(capsys, path)
    assert code == 2
    assert "record it again with --update" in err
    assert command(capsys, path, "--update")[0] == 0


def test_junit_report(written, capsys, tmp_path):
    path = written(TEST.replace("seconds: 2", "seconds: 3"))
    command(capsys, path, "--junit", tmp_path / "report.xml")
    [suite] = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    [case] = suite
    assert case.get("name") == "it_records"
    assert "seconds: expected 3" in case[0].text


def test_a_report_that_cannot_be_written_is_told_before_the_tests(written, capsys):
    code, out, err = command(capsys, written(), "--junit", "/dev/null/report.xml")
    assert code == 2
    assert "cannot write /dev/null/report.xml: Not a directory" in err.replace("\n", " ")
    assert not out
