"""A test of a graph fails when the graph is broken, and when what is expected is not so."""

# ruff: noqa: E501  # tables, one row a line

import json
import wave
from xml.etree import ElementTree

import numpy as np
import pytest

from flowcore.cli import main
from flowcore.errors import GraphError
from flowcore.scenario.load import load
from flowcore.scenario.run import run
from tests.graph.test_load import marked

GRAPH = """\
flowcore: 1
import: [mine.py]
nodes:
  call: {use: ringcx, with: {port: 0}}
  ordered: {use: reorder, from: call}
  voices: {use: decode_mulaw, from: ordered}
  odd: {use: odd, from: voices}
  wav: {use: wav_file, from: odd, with: {path: "{flow}.wav"}}
"""
ODD = '''
from flowcore import EventType, Reason, Sink, Transform, node


@node("odd")
class Odd(Transform):
    """A node that does it right, but for what a test puts in."""

    events = (EventType("odd", "It is odd."),)
    reasons = (Reason("odd", "Odd ones."),)
    count = 0

    def process(self, chunk, emit):
        self.count += 1
        {}


@node("lamp")
class Lamp(Sink):
    """Shine."""

    def process(self, chunk):
        raise RuntimeError("no bulb")
'''
TEST = """\
flowcore: 1
graph: g.yaml
tests:
  it_records:
    input: {agent: [{tone: 2s}], customer: [{silence: 500ms}, {tone: 1500ms, hertz: 300}]}
    expect:
      files:
        "*.wav":
          seconds: 2
          channels: 2
          rate: 8kHz
          levels: [{track: customer, at: 0s, length: 480ms, below: -60dB}]
      nodes: {ordered: {in: 200, out: 4s}}
      events: [{event: flow_opened, at: 0s}, {event: flow_closed, at: 2s}]
      lasts: 3s
"""


@pytest.fixture
def written(tmp_path):
    """Write a graph, a node and a test file into a directory; the test file."""

    def write(test=TEST, odd="emit(chunk)", graph=GRAPH):
        (tmp_path / "g.yaml").write_text(graph)
        (tmp_path / "mine.py").write_text(ODD.format(odd))
        (tmp_path / "t.yaml").write_text(test)
        return tmp_path / "t.yaml"

    return write


def differences(path):
    [scenario] = load(path)
    return run(scenario).differences


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


WRONG = [
    ("seconds: 2", "seconds: 2.5", "seconds: expected 2.5, got 2.0"),
    ("channels: 2", "channels: 1", "channels: expected 1, got 2"),
    ("rate: 8kHz", "rate: 16kHz", "rate: expected 16kHz, got 8000"),
    ("rate: 8kHz", "sha256: abc", "sha256: expected abc"),
    ("rate: 8kHz", "lines: 3", "it is no text"),
    ("below: -60dB", "above: -60dB", "is at -inf dB, expected above -60dB"),
    ("length: 480ms, below: -60dB", "length: 2s, below: -60dB", "expected below -60dB"),
    ("length: 480ms", "length: 3s", "the file ends before"),
    ('"*.wav"', '"other/*.wav"', "files other/*.wav: it is not there; there is 20260102T030405-flow1.wav"),
    ("in: 200", "in: 100", "nodes ordered in: expected 100 chunks, got 200"),
    ("out: 4s", "out: 3s", "nodes ordered out: expected 3s, got 4000 ms"),
    ("event: flow_closed, at: 2s", "event: flow_closed, at: 1s", "closed at 2"),
    ("event: flow_closed, at: 2s", "event: node_hung", "events: node_hung did not come"),
    (
        "event: flow_opened, at: 0s}, {event: flow_closed, at: 2s",
        "event: flow_closed}, {event: flow_opened",
        "events: flow_opened did not come",
    ),
    ("lasts: 3s", "lasts: 1s", "lasts: expected 1s at most"),
    ("lasts: 3s", "ended: [idle]", "ended: expected ['idle'], got ['stop']"),
    ("lasts: 3s", "failed: [wav]", "wav was expected to fail and did not"),
    ("lasts: 3s", "dropped: {ordered: {late: 3}}", "dropped ordered late: expected 3 chunks, got 0"),
    ("lasts: 3s", "filled: {ordered: {lost: 1s}}", "filled ordered lost: expected 1s, got 0 ms"),
]


@pytest.mark.parametrize(("old", "new", "says"), WRONG)
def test_expectation_that_is_not_met_fails(written, old, new, says):
    assert old in TEST
    assert any(says in line for line in differences(written(TEST.replace(old, new))))


def test_loss_that_nobody_expects_fails(written):
    test = TEST.replace("    expect:", "    faults: [{loss: {at: 1s, length: 300ms}}]\n    expect:")
    assert any("unexpected: ordered" in line for line in differences(written(test)))


def test_too_few_calls_fail(written):
    lines = differences(written(TEST.replace("    expect:", "    faults: [{reset: {at: 0s}}]\n    expect:")))
    assert "flows: expected 1, there were 0" in lines


def test_graph_that_cannot_start_fails(written):
    lines = differences(written(TEST.replace("tests:", 'set: {wav.path: "/proc/no/{flow}.wav"}\ntests:')))
    assert lines[0].startswith("CannotStart: wav")


TEXT = """\
flowcore: 1
graph: g.yaml
tests:
  it_writes:
    expect:
      files:
        said.jsonl: {lines: [{track: agent, start: 0.5}, {text: two}]}
        said.txt: {lines: [one, two]}
        said.bin: {sha256: 4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a}
"""
WRITER = '''
from pathlib import Path

from flowcore import Format, Listener, Sink, node


@node("calls")
class Calls(Listener):
    """One call without a sound."""

    @classmethod
    def gives(cls, config):
        return Format("text")

    async def run(self, host):
        host.accept({}).end("done")


@node("writer")
class Writer(Sink):
    """Write files."""

    def process(self, chunk):
        pass

    def flush(self):
        lines = ['{"track": "agent", "start": 0.52, "text": "one"}', '{"track": "agent", "start": 1.0, "text": "two"}']
        Path("said.jsonl").write_text("\\\\n".join(lines) + "\\\\n")
        Path("said.txt").write_text("one\\\\ntwo\\\\n")
        Path("said.bin").write_bytes(b"\\\\x01" * 1)
'''
SAYS = "flowcore: 1\nimport: [writer.py]\nnodes: {call: {use: calls}, said: {use: writer, from: call}}\n"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("start: 0.5", "start: 0.5", ""),
        ("start: 0.5", "start: 0.6", 'line 1: expected {"track": "agent", "start": 0.6}'),
        ("{text: two}", "{text: three}", "line 2"),
        (", {text: two}", "", "line 2: expected nothing"),
        ("[one, two]", "2", ""),
        ("[one, two]", "3", "lines: expected 3, got 2"),
        ("4bf5122f", "00000000", "sha256"),
    ],
)
def test_text_and_other_files(tmp_path, old, new, says):
    (tmp_path / "writer.py").write_text(WRITER.replace("\\\\", "\\"))
    (tmp_path / "g.yaml").write_text(SAYS)
    assert old in TEXT
    (tmp_path / "t.yaml").write_text(TEXT.replace(old, new))
    lines = differences(tmp_path / "t.yaml")
    assert bool(lines) == bool(says)
    assert not says or says in lines[0]


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


def test_voices_of_a_file(written, tmp_path):
    samples = (8000 * np.sin(np.arange(16000) / 5)).astype("<i2")
    with wave.open(str(tmp_path / "voice.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    path = written(TEST.replace("[{tone: 2s}]", "[{wav: voice.wav}, {tone: 1s}]"))
    assert differences(path) == ()
    (tmp_path / "voice.wav").write_text("no sound")
    assert differences(path)[0].startswith("UsageError: cannot read")


def test_stuck_and_slow_nodes_take_virtual_time(written):
    test = TEST.replace("    expect:", "    faults: [{stuck: {node: wav, at: 0, length: 1h}}]\n    expect:")
    lines = differences(written(test))
    assert any("drain_deadline" in line for line in lines)
    assert any("node_hung wav" in line for line in lines)


PROBLEMS = [
    ("not-a-test", "no mapping", TEST, "⟦[a]⟧\n"),
    ("yaml-syntax", "not YAML", "  it_records:\n", "  it_records: x⟦:⟧ y\n"),
    ("unreadable", "cannot be read", "graph: g.yaml", "graph: ⟦other.yaml⟧"),
    ("missing-field", 'needs "graph"', "flowcore: 1\ngraph: g.yaml\n", "⟦flowcore: 1⟧\n"),
    ("bad-value", "flowcore", "flowcore: 1", "flowcore: ⟦2⟧"),
    ("unknown-field", 'did you mean "input"', "    input:", "    ⟦inputs⟧:"),
    ("unknown-field", 'did you mean "tone"', "{tone: 2s}", "{⟦tnoe⟧: 2s, silence: 1s}"),
    ("bad-value", "give exactly one of tone, silence, wav", "{tone: 2s}", "⟦{tone: 2s, silence: 1s}⟧"),
    ("unit-missing", "needs a unit", "tone: 2s", "tone: ⟦2⟧"),
    ("unknown-node", 'did you mean "ordered"', "{ordered: {in", "{⟦orderd⟧: {in"),
    ("unknown-node", "no node", "    expect:", "    catch: [⟦waw⟧]\n    expect:"),
    ("not-a-sink", "no sink", "    expect:", "    catch: [⟦odd⟧]\n    expect:"),
    ("unknown-node", "no node", "    expect:", "    faults: [{slow: {⟦node⟧: waw}}]\n    expect:"),
    ("fault-at-listener", "accepts calls", "    expect:", "    faults: [{fail: {⟦node⟧: call}}]\n    expect:"),
    ("unknown-field", 'did you mean "loss"', "    expect:", "    faults: [{⟦lsos⟧: {at: 1s, length: 1s}, loss: {at: 1s, length: 1s}}]\n    expect:"),
    ("missing-field", 'loss.length', "    expect:", "    faults: [{⟦loss⟧: {at: 1s}}]\n    expect:"),
    ("not-caught", "is not caught", "lasts: 3s", "caught: {⟦wav⟧: {chunks: 1}}"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "says", "old", "new"), PROBLEMS)
def test_problem_of_a_test_file_has_its_place(written, code, says, old, new):
    assert old in TEST
    text, [expected] = marked(TEST.replace(old, new, 1))
    with pytest.raises(GraphError) as caught:
        load(written(text))
    problem = next(p for p in caught.value.problems if p.code == code)
    at = problem.position
    assert (problem.path.rpartition("/")[2], at.line, at.column) == ("t.yaml", *expected[:2])
    assert says in str(problem)


def test_faults_of_the_input_need_an_input(written):
    test = "flowcore: 1\ngraph: g.yaml\ntests: {a: {faults: [{loss: {at: 1s, length: 1s}}]}}\n"
    with pytest.raises(GraphError) as caught:
        load(written(test))
    assert caught.value.problems[0].code == "fault-without-input"


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


def test_samples_are_compared_with_those_of_a_file(written, tmp_path):
    path = written(TEST.replace("rate: 8kHz", "samples_of: same.wav"))
    assert any("samples_of: same.wav cannot be read" in line for line in differences(path))
    with wave.open(str(tmp_path / "same.wav"), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(64000))
    assert any("they are not those of same.wav" in line for line in differences(path))


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
