import errno
import json
import os
import sys
import wave
from pathlib import Path

import msgspec
import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flowcore import CannotStart, Gap, Text
from flowcore.testing import FakeDisk, NodeHarness, run_graph
from nodes.sinks.transcript_file import TranscriptFile
from tests.support.failing_disks import killed_at, on_each_file_system, use_file_system
from tests.support.kills import kill_at_random

HELLO = Text("agent", 1.23456, 2.0, "hello", True, 0, confidence=0.9, lag=0.4)
HEL = Text("agent", 1.23456, 1.5, "hel", False, 0, lag=0.2)
KINDS = ("jsonl", "srt", "vtt", "txt")


def node(path: str, **config: object) -> NodeHarness:
    return NodeHarness(TranscriptFile, {"path": path, **config})


def write(folder: Path, *texts: Text, kind: str = "jsonl", **config: object) -> NodeHarness:
    return node(f"{folder}/{{flow}}.{kind}", **config).push(*texts).end()


def lines(harness: NodeHarness) -> list[dict[str, object]]:
    ((_, data),) = harness.events
    return [json.loads(line) for line in Path(data["path"]).read_text("utf-8").splitlines()]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def recover(path: str, **config: object) -> list[tuple[str, str]]:
    """What a new process tells of what a killed one left."""
    told: list[tuple[str, str]] = []

    class Told:
        def event(self, event: str, **data: str) -> None:
            told.append((event, Path(data["path"]).name))

    TranscriptFile.recover(TranscriptFile.Config(path=path, **config), Told())
    return told


def test_what_an_operator_silenced_is_marked_in_the_texts_and_in_the_metadata(tmp_path):
    harness = node(f"{tmp_path}/x.txt").push(HELLO)
    harness.node.silenced = lambda: (Gap("customer", 3.0, 6.25, 3.25),)
    harness.end()
    assert (tmp_path / "x.txt").read_text() == "[00:01.2] Agent: hello\n[00:03.0] Caller: [paused 3.2 s]\n"
    (gap,) = json.loads((tmp_path / "x.txt.json").read_text())["gaps"]
    assert gap == {"track": "customer", "start": 3.0, "end": 6.25, "reason": "paused"}


@pytest.mark.fault(57)
def test_a_transcript_whose_file_was_removed_continues_in_the_next_and_a_later_call_of_the_same_name_is_whole(tmp_path):
    first = node(f"{tmp_path}/same.jsonl").push(HELLO, HELLO)
    (tmp_path / "same.jsonl.part").unlink()
    later = node(f"{tmp_path}/same.jsonl").push(HELLO)
    first.push(msgspec.structs.replace(HELLO, text="again")).end()
    later.push(HELLO).end()
    assert [line["text"] for line in lines(later)] == ["hello", "hello"]
    assert first.events == [
        ("file_removed", {"path": f"{tmp_path}/same.jsonl.part", "texts": 2}),
        ("file_finished", {"path": f"{tmp_path}/same-2.jsonl"}),
    ]
    assert first.dropped_chunks == {"file_removed": 2}
    (line,) = (tmp_path / "same-2.jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == "again"
    assert names(tmp_path) == {f"same{end}" for end in (".jsonl", ".jsonl.json", "-2.jsonl", "-2.jsonl.json")}


def test_final_text_is_one_line_with_times_to_the_millisecond(tmp_path):
    harness = write(tmp_path, HEL, HELLO)
    assert harness.events == [("file_finished", {"path": f"{tmp_path}/test-flow.jsonl"})]
    assert lines(harness) == [
        {
            "track": "agent",
            "start": 1.235,
            "end": 2.0,
            "text": "hello",
            "final": True,
            "utterance": 0,
            "confidence": 0.9,
            "lag": 0.4,
        }
    ]


def test_interim_texts_are_lines_too_when_asked_for(tmp_path):
    both = write(tmp_path, HEL, HELLO, interim=True)
    assert [(line["text"], line["final"]) for line in lines(both)] == [("hel", False), ("hello", True)]


def test_the_end_of_the_name_says_the_format(tmp_path):
    for kind in KINDS:
        write(tmp_path, HEL, HELLO, kind=kind)
    (cue,) = srt.parse((tmp_path / "test-flow.srt").read_text())
    assert cue.content == "Agent: hello"
    (caption,) = webvtt.read(tmp_path / "test-flow.vtt", strict=True)
    assert (caption.voice, caption.text) == ("Agent", "hello")
    assert (tmp_path / "test-flow.txt").read_text() == "[00:01.2] Agent: hello\n"
    assert names(tmp_path) == {f"test-flow.{kind}{more}" for kind in KINDS for more in ("", ".json")}


def test_a_name_that_does_not_say_the_format_needs_it_said(tmp_path):
    with pytest.raises(ValidationError, match=r"path\n.*end it in \.jsonl, \.srt, \.vtt, \.txt, or say which of"):
        write(tmp_path, kind="sub")
    write(tmp_path, HELLO, kind="sub", format="srt", names={"agent": "Kim"})
    assert "\nKim: hello\n" in (tmp_path / "test-flow.sub").read_text()


def test_interim_texts_have_a_place_in_json_lines_only(tmp_path):
    with pytest.raises(ValidationError, match=r"interim\n.*srt has no place for interim texts"):
        write(tmp_path, kind="srt", interim=True)


def test_a_party_that_is_not_there_cannot_be_named(tmp_path):
    with pytest.raises(ValidationError, match=r"names\.agnet"):
        write(tmp_path, names={"agnet": "Kim"})


@pytest.mark.parametrize("kind", KINDS)
def test_call_in_which_nobody_speaks_has_a_transcript(kind, tmp_path):
    write(tmp_path, kind=kind)
    assert (tmp_path / f"test-flow.{kind}").read_text() == ("WEBVTT\n" if kind == "vtt" else "")


@pytest.mark.parametrize("kind", KINDS)
def test_each_text_is_on_the_way_to_the_disk_as_soon_as_it_came(kind, tmp_path):
    harness = node(f"{tmp_path}/x.{kind}")
    for number in range(1, 4):
        harness.push(HELLO)
        assert (tmp_path / f"x.{kind}.part").read_bytes().count(b'"hello"') == number
    assert names(tmp_path) == {f"x.{kind}.part"}
    harness.end()
    assert names(tmp_path) == {f"x.{kind}", f"x.{kind}.json"}


@given(st.lists(st.text()))
def test_any_words_stay_on_their_line(tmp_path_factory, words):
    texts = [Text("customer", 0.0, 1.0, word, True, number) for number, word in enumerate(words)]
    harness = write(tmp_path_factory.mktemp("words"), *texts)
    raw = Path(harness.events[0][1]["path"]).read_bytes()
    assert [json.loads(line)["text"] for line in raw.split(b"\n")[:-1]] == [word for word in words if word]


def test_same_name_twice_gives_two_transcripts_each_with_its_metadata(tmp_path):
    first, second = write(tmp_path, HELLO), write(tmp_path)
    assert (len(lines(first)), len(lines(second))) == (1, 0)
    assert second.events[0][1]["path"] == f"{tmp_path}/test-flow-2.jsonl"
    for name in ("test-flow.jsonl", "test-flow-2.jsonl"):
        assert json.loads((tmp_path / f"{name}.json").read_text())["transcript"] == name


GREETING = """
from flowcore import LINEAR, Audio, Emit, Format, Text, Transform, node


@node("greeting")
class Greeting(Transform[Audio, Text]):
    "Hears one greeting, which begins with the first sample."

    caps = (LINEAR,)

    @classmethod
    def gives(cls, config, given):
        return Format("text")

    def process(self, chunk: Audio, emit: Emit[Text]) -> None:
        if chunk.start == 0:
            emit(Text(chunk.track, 0.0, 1.0, "hello", True, 0))
"""
GREETED = """
flowcore: 1
import: [greeting_node.py]
nodes:
  call: {{use: wav_source, with: {{path: "{folder}/call.wav", speed: {speed}}}}}
  words: {{use: greeting, from: call}}
  text: {{use: transcript_file, from: words, with: {{path: "{folder}/text.jsonl"}}}}
"""


@pytest.mark.parametrize("speed", [0, 1, 20])
def test_metadata_counts_call_time_at_any_speed_of_a_file(tmp_path, speed):
    with wave.open(str(tmp_path / "call.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 44 * 8000))
    (tmp_path / "greeting_node.py").write_text(GREETING)
    (tmp_path / "graph.yaml").write_text(GREETED.format(folder=tmp_path, speed=speed))
    run_graph(tmp_path / "graph.yaml")
    assert json.loads((tmp_path / "text.jsonl.json").read_text())["seconds"] == 44


def test_metadata_tells_of_the_session_and_how_late_the_words_were(tmp_path):
    harness = node(f"{tmp_path}/x.srt")
    harness.audio_end = 12.5
    harness.push(HEL, HELLO).wait(60).end()
    about = json.loads((tmp_path / "x.srt.json").read_text())
    assert (about["flow"], about["session"]) == ("test-flow", {"call_id": "call-1", "session_id": "1"})
    assert (about["seconds"], about["complete"]) == (12.5, True)
    assert about["lag"]["final"] == {"texts": 1, "p50": 0.4, "p95": 0.4, "max": 0.4}
    assert about["lag"]["interim"]["max"] == 0.2


def test_metadata_can_be_left_out(tmp_path):
    write(tmp_path, HELLO, metadata=False)
    assert names(tmp_path) == {"test-flow.jsonl"}


def test_place_that_cannot_be_written_names_field_and_fix(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"^path: cannot write to .*: Not a directory; give a path in"):
        node(f"{tmp_path}/file/x.jsonl")


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_that_was_cut_out_keeps_what_it_had_and_says_that_it_is_not_all(kind, tmp_path):
    harness = node(f"{tmp_path}/x.{kind}").push(HELLO)
    harness.node.close()
    assert "hello" in (tmp_path / f"x.{kind}").read_text()
    assert json.loads((tmp_path / f"x.{kind}.json").read_text())["complete"] is False


def test_a_full_disk_keeps_the_journal_for_a_time_with_room(tmp_path):
    path = f"{tmp_path}/x.srt"
    harness = node(path).push(HELLO)
    with FakeDisk(tmp_path) as disk:
        disk.room = 10
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            harness.push(HELLO)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            harness.node.close()
    assert recover(path) == [("file_repaired", "x.srt")]
    assert len(list(srt.parse((tmp_path / "x.srt").read_text()))) == 1
    assert names(tmp_path) == {"x.srt", "x.srt.json"}


def test_a_power_cut_after_the_end_takes_nothing(tmp_path):
    with FakeDisk(tmp_path) as disk:
        write(tmp_path, HELLO, kind="vtt")
    disk.power_cut()
    assert webvtt.read(tmp_path / "test-flow.vtt", strict=True)[0].text == "hello"
    assert json.loads((tmp_path / "test-flow.vtt.json").read_text())["complete"] is True


def test_what_another_program_left_is_named_and_not_touched(tmp_path):
    (tmp_path / "x.srt.part").write_text("1\n")
    assert recover(f"{tmp_path}/{{flow}}.srt") == [("repair_failed", "x.srt.part")]
    assert names(tmp_path) == {"x.srt.part"}


def test_a_part_killed_before_its_first_line_is_removed(tmp_path):
    (tmp_path / "x.srt.part").touch()
    os.utime(tmp_path / "x.srt.part", (0, 0))
    assert recover(f"{tmp_path}/{{flow}}.srt") == []
    assert names(tmp_path) == set()


def test_what_is_being_written_is_left_alone(tmp_path):
    harness = node(f"{tmp_path}/x.srt").push(HELLO)
    assert recover(f"{tmp_path}/{{flow}}.srt") == []
    harness.end()
    assert names(tmp_path) == {"x.srt", "x.srt.json"}


@pytest.mark.fault(49)
@on_each_file_system
def test_killed_before_any_step_of_its_end_the_next_one_comes_to_the_same_files(tmp_path, monkeypatch, file_system):
    use_file_system(file_system, monkeypatch)
    for moment in range(100):
        folder = tmp_path / str(moment)
        node(f"{folder}/x.srt").push(HELLO).node._file.close()  # killed
        died = killed_at(moment, monkeypatch, lambda folder=folder: recover(f"{folder}/{{flow}}.srt"))
        if "x.srt" in names(folder):  # whole, whenever it is seen
            assert [cue.content for cue in srt.parse((folder / "x.srt").read_text())] == ["Agent: hello"]
        recover(f"{folder}/{{flow}}.srt")
        assert names(folder) == {"x.srt", "x.srt.json"}
        assert [cue.content for cue in srt.parse((folder / "x.srt").read_text())] == ["Agent: hello"]
        assert json.loads((folder / "x.srt.json").read_text())["transcript"] == "x.srt"
        if not died:
            break
    assert 8 < moment < 100


@pytest.mark.fault(49)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.slow
def test_killed_writer_loses_nothing_that_it_took(kind, seed, tmp_path):
    program = f"""
from flowcore import Text
from flowcore.testing import NodeHarness
from nodes.sinks.transcript_file import TranscriptFile
for call in range(1_000_000):
    harness = NodeHarness(TranscriptFile, {{"path": "{tmp_path}/" + str(call) + ".{kind}"}})
    for number in range(20):
        harness.push(Text("agent", number, number + 1, f"call {{call}} text {{number}}.", True, number))
        print(f"call {{call}} text {{number}}.", flush=True)
    harness.end()
"""
    killed = kill_at_random([sys.executable, "-c", program], seed, lines=(1, 200))
    assert not killed.survived
    for part in tmp_path.glob("*.part"):
        os.utime(part, (0, 0))  # an empty one might be a newborn's
    told = recover(f"{tmp_path}/{{flow}}.{kind}")
    assert len(told) <= 1
    found = sorted(names(tmp_path), key=lambda name: int(name.split(".")[0]))
    assert {name for name in found if not name.endswith(".json")} == {name.removesuffix(".json") for name in found}
    whole = "".join((tmp_path / name).read_text() for name in found if name.endswith(f".{kind}"))
    for line in killed.lines:
        assert whole.count(line.decode()) == 1
    for name in found:
        if name.endswith(".json"):
            about = json.loads((tmp_path / name).read_text())
            assert about["complete"] is (
                ("file_repaired", about["transcript"]) not in told or about["seconds"] is not None
            )
