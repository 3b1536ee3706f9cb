import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import CannotStart, Text
from flowcore.testing import NodeHarness
from nodes.sinks.transcript_file import TranscriptFile


def write(folder: Path, *texts: Text, **config: object) -> NodeHarness:
    return NodeHarness(TranscriptFile, {"path": f"{folder}/{{flow}}.jsonl", **config}).push(*texts).end()


def lines(harness: NodeHarness) -> list[dict[str, object]]:
    ((_, data),) = harness.events
    return [json.loads(line) for line in Path(data["path"]).read_text("utf-8").splitlines()]


HELLO = Text("agent", 1.23456, 2.0, "hello", True, 0, confidence=0.9)
HEL = Text("agent", 1.23456, 1.5, "hel", False, 0)


def test_final_text_is_one_line_with_times_to_the_millisecond(tmp_path):
    harness = write(tmp_path, HELLO)
    assert harness.events == [("file", {"path": f"{tmp_path}/test-flow.jsonl"})]
    expected = '{"track":"agent","start":1.235,"end":2.0,"text":"hello","final":true}\n'
    assert (tmp_path / "test-flow.jsonl").read_text() == expected


def test_interim_text_is_left_out_unless_asked_for(tmp_path):
    assert [line["text"] for line in lines(write(tmp_path, HEL, HELLO))] == ["hello"]
    both = write(tmp_path, HEL, HELLO, interim=True)
    assert [(line["text"], line["final"]) for line in lines(both)] == [("hel", False), ("hello", True)]


def test_call_in_which_nobody_speaks_has_an_empty_file_from_the_start(tmp_path):
    harness = NodeHarness(TranscriptFile, {"path": f"{tmp_path}/x.jsonl"})
    assert (tmp_path / "x.jsonl").read_bytes() == b""
    assert lines(harness.end()) == []


def test_each_line_is_there_as_soon_as_it_was_said(tmp_path):
    harness = NodeHarness(TranscriptFile, {"path": f"{tmp_path}/x.jsonl"})
    for number in range(1, 4):
        harness.push(HELLO)
        assert (tmp_path / "x.jsonl").read_bytes().count(b"\n") == number
    harness.end()


def test_an_empty_final_text_is_no_line_but_takes_back_an_interim_one(tmp_path):
    nothing = Text("agent", 1.23456, 1.5, "", True, 0)
    assert lines(write(tmp_path, HEL, nothing)) == []
    assert [line["text"] for line in lines(write(tmp_path, HEL, nothing, interim=True))] == ["hel", ""]


@given(st.lists(st.text()))
def test_any_words_stay_on_their_line(tmp_path_factory, words):
    texts = [Text("customer", 0.0, 1.0, word, True, number) for number, word in enumerate(words)]
    harness = write(tmp_path_factory.mktemp("words"), *texts)
    raw = Path(harness.events[0][1]["path"]).read_bytes()
    assert [json.loads(line)["text"] for line in raw.split(b"\n")[:-1]] == [word for word in words if word]
    assert raw.endswith(b"\n") or not any(words)


def test_same_name_twice_gives_two_transcripts(tmp_path):
    first, second = write(tmp_path, HELLO), write(tmp_path)
    assert (len(lines(first)), len(lines(second))) == (1, 0)
    assert second.events[0][1]["path"] == f"{tmp_path}/test-flow-2.jsonl"


def test_place_that_cannot_be_written_names_field_and_fix(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"^path: cannot write to .*: Not a directory; give a path in"):
        NodeHarness(TranscriptFile, {"path": f"{tmp_path}/file/x.jsonl"})


def test_killed_writer_leaves_whole_lines(tmp_path):
    program = f"""
from flowcore import Text
from flowcore.testing import NodeHarness
from nodes.sinks.transcript_file import TranscriptFile
harness = NodeHarness(TranscriptFile, {{"path": {str(tmp_path / "x.jsonl")!r}}})
for number in range(30_000):
    harness.push(Text("agent", number, number, "word " * (1 + number % 50), True, number))
    print(number + 1, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for _ in range(1000):
        process.stdout.readline()
    process.kill()
    acknowledged = 1000 + process.communicate()[0].count("\n")
    raw = (tmp_path / "x.jsonl").read_bytes()
    starts = [json.loads(line)["start"] for line in raw.split(b"\n")[:-1]]
    assert raw.endswith(b"\n")
    assert starts == list(range(len(starts)))
    assert len(starts) >= acknowledged
