"""An expectation that is not met fails the test."""

# tables, one row a line
import wave

import pytest

from tests.scenario.graph import TEST, differences

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


def test_samples_are_compared_with_those_of_a_file(written, tmp_path):
    path = written(TEST.replace("rate: 8kHz", "samples_of: same.wav"))
    assert any("samples_of: same.wav cannot be read" in line for line in differences(path))
    with wave.open(str(tmp_path / "same.wav"), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(64000))
    assert any("they are not those of same.wav" in line for line in differences(path))
