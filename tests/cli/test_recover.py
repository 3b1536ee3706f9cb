"""`flowcore recover`: what a kill left is completed and listed."""

import json

import pytest

from flowcore import Session
from flowcore.testing import SESSION, NodeHarness, tone
from nodes.audio import wav
from nodes.sinks.wav_file import WavFile
from nodes.transcripts import journal


@pytest.fixture
def left(tmp_path):
    """A directory as after a kill: two days, a recording, a transcript, one of another program."""
    (tmp_path / "mon{1}").mkdir()
    (tmp_path / "tue").mkdir()
    (tmp_path / "mon{1}" / "a.wav.part").write_bytes(wav.header("mulaw", 8000, 2) + b"\xff" * 16_000)
    (tmp_path / "tue" / "b.vtt.part").write_bytes(journal.head(SESSION))
    (tmp_path / "tue" / "c.wav.part").write_bytes(b"of another program" * 10)
    (tmp_path / "tue" / "d.txt").write_text("finished")
    return tmp_path


@pytest.mark.fault(36)
def test_directory_is_completed_and_listed(flowcore, left):
    outcome = flowcore("recover", str(left))
    assert outcome.code == 1
    assert outcome.out.splitlines()[:3] == [
        f"file repaired {left}/mon{{1}}/a.wav  1 s",
        f"file repaired {left}/tue/b.vtt",
        f"repair failed {left}/tue/c.wav.part  (it is no WAV file)",
    ]
    assert outcome.out.splitlines()[3].startswith("2 completed, 1 not, 0 left alone, in ")
    assert json.loads((left / "mon{1}" / "a.wav.json").read_text())["end"] == "killed"
    assert sorted(path.name for path in (left / "tue").iterdir()) == ["b.vtt", "b.vtt.json", "c.wav.part", "d.txt"]


def test_twice_is_once_and_json_is_for_machines(flowcore, left):
    (left / "tue" / "c.wav.part").unlink()
    outcome = flowcore("recover", str(left), "--json")
    assert outcome.code == 0
    first, second = map(json.loads, outcome.out.splitlines())
    assert first == {"event": "file_repaired", "node": "wav_file", "path": f"{left}/mon{{1}}/a.wav", "seconds": 1.0}
    assert second["node"] == "transcript_file"
    before = {path: path.read_bytes() for path in left.rglob("*") if path.is_file()}
    assert flowcore("recover", str(left)).out.startswith("0 completed, 0 not, 0 left alone")
    assert before == {path: path.read_bytes() for path in left.rglob("*") if path.is_file()}


def test_a_capture_that_a_kill_left_gets_its_name(flowcore, tmp_path):
    (tmp_path / "c.capture.part").write_bytes(b"{}\n")
    (tmp_path / "other.jsonc.part").write_bytes(b"{}\n")
    outcome = flowcore("recover", str(tmp_path))
    assert outcome.out.splitlines()[0] == f"file repaired {tmp_path}/c.capture"
    assert (outcome.code, sorted(path.name for path in tmp_path.iterdir())) == (0, ["c.capture", "other.jsonc.part"])


def test_what_is_being_written_is_left_alone(flowcore, tmp_path):
    session = Session("live", SESSION.started)
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/{{flow}}.wav"}, session=session).push(*tone("1s"))
    outcome = flowcore("recover", str(tmp_path))
    assert outcome.code == 0
    assert f"left alone    {tmp_path}/live.wav.part" in outcome.out
    harness.end()
    assert (tmp_path / "live.wav").exists()


def test_a_graph_says_where_and_what_is_not_there_is_an_error(flowcore, left, monkeypatch):
    monkeypatch.chdir(left)
    (left / "graph.yaml").write_text(
        'flowcore: 1\nnodes:\n  a: {use: wav_source, with: {path: x.wav}}\n'
        '  w: {use: wav_file, from: a, with: {path: "tue/{flow}.wav"}}\n'
    )  # fmt: skip
    outcome = flowcore("recover", "graph.yaml")
    assert (outcome.code, outcome.out.splitlines()[0]) == (1, "repair failed tue/c.wav.part  (it is no WAV file)")
    outcome = flowcore("recover", "nowhere")
    assert outcome.code == 2
    assert "nowhere does not exist: give a directory" in outcome.err
