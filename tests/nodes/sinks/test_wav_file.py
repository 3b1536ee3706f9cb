import hashlib
import json
import random
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flowcore import Audio, CannotStart
from flowcore.testing import NodeHarness, joined, run_plan, silence, tone
from nodes.audio import wav
from nodes.sinks.wav_file import WavFile
from tests.engine.nodes import Tones, plan, step
from tests.support.failing_disks import killed_at, on_each_file_system, use_file_system


def stereo(start: int, frames: int, value: int = 1000) -> Audio:
    return Audio(np.full((frames, 2), [value, -value], np.int16), "s16", 8000, "", start)


def record(folder: Path, *chunks: Audio, **config: str) -> NodeHarness:
    return NodeHarness(WavFile, {"path": f"{folder}/{{flow}}.wav", **config}).push(*chunks).end()


def files(harness: NodeHarness) -> list[str]:
    return [data["path"] for event, data in harness.events if event == "file_finished"]


def read(path: str | Path) -> np.ndarray:
    """What another implementation than ours reads."""
    with wave.open(str(path)) as reader:
        return np.frombuffer(reader.readframes(reader.getnframes()), "<i2").reshape(-1, reader.getnchannels())


def test_recording_is_the_sound_bit_by_bit(tmp_path):
    chunks = tone("1s", rate=16000)
    harness = record(tmp_path, *chunks)
    assert files(harness) == [f"{tmp_path}/test-flow.wav"]
    assert (read(files(harness)[0])[:, 0] == joined(chunks)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test-flow.wav", "test-flow.wav.json"]


def test_stereo_keeps_agent_left_and_customer_right(tmp_path):
    harness = record(tmp_path, stereo(0, 100))
    assert (read(files(harness)[0]) == [1000, -1000]).all()


def test_hole_becomes_silence_of_its_length_and_is_said(tmp_path):
    harness = record(tmp_path, stereo(8000, 10), stereo(808_010, 10))  # 100 s are several pieces
    samples = read(files(harness)[0])
    assert len(samples) == 808_020
    assert not samples[:8000].any()
    assert not samples[8010:808_010].any()
    assert (samples[808_010:] == [1000, -1000]).all()
    assert harness.filled == {"hole": 2 * 101.0}  # seconds of one channel


def test_silence_of_mulaw_is_its_code_of_zero(tmp_path):
    harness = record(tmp_path, Audio(np.array([1, 2, 3], np.uint8), "mulaw", 8000, "agent", 5))
    data = Path(files(harness)[0]).read_bytes()
    assert data == wav.header("mulaw", 8000, 1, 8) + b"\xff\xff\xff\xff\xff\1\2\3"


def test_late_sound_is_dropped_and_counted_and_the_rest_of_its_chunk_kept(tmp_path):
    harness = record(tmp_path, stereo(0, 800, 1), stereo(0, 400, 2), stereo(400, 800, 3), stereo(1200, 8, 4))
    assert read(files(harness)[0])[:, 0].tolist() == [1] * 800 + [3] * 400 + [4] * 8
    assert harness.dropped == {"late": 2 * 0.1}
    assert harness.dropped_chunks == {"late": 1}


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 120)), max_size=20))
def test_any_chunks_lie_where_their_clock_says_and_the_books_balance(tmp_path_factory, places):
    chunks = [stereo(start, frames, value + 1) for value, (start, frames) in enumerate(places)]
    harness = record(tmp_path_factory.mktemp("any"), *chunks)
    expected = np.zeros((0, 2), np.int16)
    for chunk in chunks:  # what is written stays; a hole is silence
        fresh = chunk.samples[max(0, len(expected) - chunk.start) :]
        hole = np.zeros((max(0, chunk.start - len(expected)), 2), np.int16)
        expected = np.concatenate([expected, hole, fresh]) if len(fresh) or not chunk.frames else expected
    samples = read(files(harness)[0])
    assert samples.tolist() == expected.tolist() if len(expected) else not len(samples)
    pushed = sum(chunk.frames for chunk in chunks) / 4000
    balance = pushed + harness.filled.total() - harness.dropped.total()
    assert balance == pytest.approx(len(samples) / 4000)


def test_call_without_sound_leaves_an_empty_recording(tmp_path):
    assert len(read(files(record(tmp_path))[0])) == 0


def test_same_name_twice_gives_two_recordings(tmp_path):
    first, second = record(tmp_path, *tone("20ms")), record(tmp_path, *silence("20ms"))
    assert [Path(path).name for path in files(first) + files(second)] == ["test-flow.wav", "test-flow-2.wav"]
    assert read(files(first)[0]).any()
    assert not read(files(second)[0]).any()


def test_recording_goes_on_in_the_next_file_where_one_is_full(tmp_path):
    ramp = np.arange(10_000, dtype=np.int16).reshape(-1, 2)
    harness = record(tmp_path, Audio(ramp, "s16", 8000, "", 0), max="8KiB")
    assert [Path(path).name for path in files(harness)] == ["test-flow.wav", "test-flow-2.wav", "test-flow-3.wav"]
    assert all(Path(path).stat().st_size <= 8192 for path in files(harness))
    assert (np.concatenate([read(path) for path in files(harness)]) == ramp).all()


def test_full_file_without_more_sound_begins_no_empty_one(tmp_path):
    frames = (8192 - 44) // 4
    assert len(files(record(tmp_path, stereo(0, frames), max="8KiB"))) == 1
    assert len(files(record(tmp_path / "more", stereo(0, frames), stereo(frames, 1), max="8KiB"))) == 2


@pytest.mark.fault(41)
@pytest.mark.slow
def test_two_gibibytes_roll_over_and_never_wrap(tmp_path):
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav"}).push(stereo(0, 1))
    part = tmp_path / "x.wav.part"
    with part.open("r+b") as file:  # days of a call, without their samples on the disk
        file.truncate(2**31 - 4)
    harness.node._file._file.size = 2**31 - 4
    harness.push(stereo(1, 2)).end()
    assert [Path(path).stat().st_size for path in files(harness)] == [2**31, 48]
    with Path(files(harness)[0]).open("rb") as file:
        head = file.read(44)
    assert (int.from_bytes(head[4:8], "little"), int.from_bytes(head[40:44], "little")) == (2**31 - 8, 2**31 - 44)
    assert len(read(files(harness)[1])) == 1


@pytest.mark.fault(24)
def test_other_rate_in_mid_call_fails_instead_of_playing_at_a_wrong_speed(tmp_path):
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav"}).push(*tone("20ms"))
    with pytest.raises(ValueError, match="a file holds one format"):
        harness.push(*tone("20ms", rate=16000, start=320))
    harness.end()
    assert len(read(tmp_path / "x.wav")) == 160


def about(path: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"{path}.json").read_text())
    return found


def test_length_begins_the_next_file_and_metadata_link_them(tmp_path):
    harness = record(tmp_path, stereo(0, 10_000), stereo(30_000, 1000), length="1s")
    told = [about(path) for path in files(harness)]
    assert [one["seconds"] for one in told] == [1.0, 1.0, 1.0, 0.875]
    assert [one["start"] for one in told] == [0.0, 1.0, 2.0, 3.0]
    assert [one["end"] for one in told] == ["length", "length", "length", "call"]
    assert [one["segment"] for one in told] == [1, 2, 3, 4]
    assert [one["previous"] for one in told] == [None, *(one["recording"] for one in told[:-1])]
    assert told[1]["holds"] == [{"start": 1.25, "end": 3.75}]


def test_metadata_say_whose_call_it_is_and_what_is_in_the_file(tmp_path):
    harness = record(tmp_path, stereo(0, 800), stereo(400, 800))
    (path,) = files(harness)
    told = about(path)
    assert told["sha256"] == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert told["bytes"] == Path(path).stat().st_size
    assert told | {"sha256": "", "bytes": 0} == {
        "recording": "test-flow.wav",
        "flow": "test-flow",
        "started": "2026-01-02T03:04:05",
        "seconds": 0.15,
        "complete": True,
        "end": "call",
        "segment": 1,
        "previous": None,
        "start": 0.0,
        "session": {"call_id": "call-1", "session_id": "1"},
        "format": "wav",
        "encoding": "s16",
        "rate": 8000,
        "parties": ["agent", "customer"],
        "bytes": 0,
        "sha256": "",
        "holds": [],
        "gaps": [],
        "dropped": {"late": 0.05},
    }


def test_encoding_asks_the_planner_for_what_it_writes():
    accepted = {
        encoding: WavFile.accepts(WavFile.Config(encoding=encoding))[0].encodings
        for encoding in ("pcm16", "mulaw", None)
    }
    assert accepted == {"pcm16": ("s16",), "mulaw": ("mulaw",), None: ("s16", "mulaw")}


def test_another_kind_of_file_is_refused_when_the_graph_is_read():
    with pytest.raises(ValidationError, match=r"end it in \.wav; audio_file writes \.flac"):
        WavFile.Config(path="x.flac")


@pytest.mark.parametrize("fsync", ["7", "sometimes", "-1s"])
def test_wrong_fsync_is_refused(fsync):
    with pytest.raises(ValidationError):
        WavFile.Config(fsync=fsync)


def test_place_that_cannot_be_written_names_field_and_fix(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"^path: cannot write to .*/file/x.wav: Not a directory; give a path in"):
        NodeHarness(WavFile, {"path": f"{tmp_path}/file/x.wav"})


def test_engine_looks_at_the_folder_before_the_first_call(tmp_path):
    graph = plan(step("tone", Tones), step("wav", WavFile, "tone", path="/proc/recordings/{flow}.wav"))
    with pytest.raises(CannotStart, match=r"^wav.path: cannot write to /proc/recordings: No such file"):
        run_plan(graph)


@pytest.mark.parametrize("seed", range(4))
def test_killed_recorder_keeps_all_it_acknowledged(tmp_path, seed):
    program = f"""
import numpy as np
from flowcore import Audio
from flowcore.testing import NodeHarness
from nodes.sinks.wav_file import WavFile
harness = NodeHarness(WavFile, {{"path": {str(tmp_path / "x.wav")!r}}})
for number in range(30_000):
    harness.push(Audio(np.full(80, number, np.int16), "s16", 8000, "agent", 80 * number))
    print(number + 1, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    wanted = random.Random(seed).randrange(1, 2000)
    for _ in range(wanted):
        process.stdout.readline()
    process.kill()
    acknowledged = wanted + process.communicate()[0].count("\n")
    part = tmp_path / "x.wav.part"

    head = part.read_bytes()[:44]
    assert (head[4:8], head[40:44]) == (b"\xff" * 4, b"\xff" * 4)
    with wave.open(str(part)) as reader:  # playable as it is
        before = reader.readframes(30_000 * 80)
    wav.finalize(part)
    samples = read(part)[:, 0]
    assert samples.tobytes() == before
    assert len(samples) >= 80 * acknowledged
    assert (samples == np.arange(len(samples)) // 80).all()


class Report:
    """What `recover` tells."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def event(self, event: str, **data: str) -> None:
        self.events.append((event, data["path"]))


def test_recover_makes_whole_what_was_left_and_leaves_alone_what_grows(tmp_path):
    (tmp_path / "left.wav.part").write_bytes(wav.header("s16", 8000, 2) + b"\1\0\2\0" * 100 + b"torn"[:3])
    (tmp_path / "foreign.wav.part").write_bytes(b"not a recording of ours" * 10)
    (tmp_path / "other.txt.part").write_text("of another program")
    growing = NodeHarness(WavFile, {"path": f"{tmp_path}/{{flow}}.wav"}).push(stereo(0, 100))
    report = Report()
    WavFile.recover(growing.node.config, report)
    assert report.events == [
        ("repair_failed", f"{tmp_path}/foreign.wav.part"),
        ("file_repaired", f"{tmp_path}/left.wav"),
    ]
    assert (read(tmp_path / "left.wav") == [1, 2]).all()
    assert len(read(tmp_path / "left.wav")) == 100
    growing.push(stereo(100, 100)).end()
    assert len(read(files(growing)[0])) == 200
    assert (tmp_path / "foreign.wav.part").read_bytes() == b"not a recording of ours" * 10
    assert (tmp_path / "other.txt.part").exists()


@pytest.mark.fault(52)
@on_each_file_system
def test_killed_between_any_two_system_calls_of_its_end_there_is_one_whole_recording(
    tmp_path, monkeypatch, file_system
):
    use_file_system(file_system, monkeypatch)
    for moment in range(100):
        folder = tmp_path / str(moment)
        harness = NodeHarness(WavFile, {"path": f"{folder}/x.wav"}).push(stereo(0, 100))
        harness.node._file._close()  # killed

        def recover(config=harness.node.config):
            WavFile.recover(config, Report())

        died = killed_at(moment, monkeypatch, recover)
        if (folder / "x.wav").exists():  # whole, whenever it is seen
            assert len(read(folder / "x.wav")) == 100
            assert (folder / "x.wav.json").exists()
        recover()
        assert {path.name for path in folder.iterdir()} == {"x.wav", "x.wav.json"}
        assert (read(folder / "x.wav") == [1000, -1000]).all()
        about = json.loads((folder / "x.wav.json").read_text())
        assert about["sha256"] == hashlib.sha256((folder / "x.wav").read_bytes()).hexdigest()
        if not died:
            break
    assert 8 < moment < 100


def test_recover_of_nothing_is_nothing(tmp_path):
    report = Report()
    WavFile.recover(WavFile.Config(path=f"{tmp_path}/none/{{started:%Y}}/{{flow}}.wav"), report)
    assert report.events == []
