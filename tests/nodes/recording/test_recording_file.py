import errno
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from flowcore import PathTemplate
from flowcore.testing import SESSION, FakeDisk, NodeHarness
from nodes.audio import wav
from nodes.recording import journal, recording_file
from nodes.recording.containers import Wav
from nodes.recording.encoded import Flac
from nodes.recording.recording_file import RecordingFile
from nodes.sinks.wav_file import WavFile
from tests.support.failing_disks import killed_at, on_each_file_system, refuse, use_file_system
from tests.support.recordings import EventReport, about, files, read, record, stereo


def test_metadata_describe_the_call_and_the_file(tmp_path):
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


def test_recover_completes_abandoned_files_and_ignores_growing_files(tmp_path):
    (tmp_path / "left.wav.part").write_bytes(wav.header("s16", 8000, 2) + b"\1\0\2\0" * 100 + b"torn"[:3])
    (tmp_path / "foreign.wav.part").write_bytes(b"not a recording of ours" * 10)
    (tmp_path / "other.txt.part").write_text("of another program")
    growing = NodeHarness(WavFile, {"path": f"{tmp_path}/{{flow}}.wav"}).push(stereo(0, 100))
    report = EventReport()
    WavFile.recover(growing.node.config, report)
    assert [(event, data["path"]) for event, data in report.events] == [
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
            WavFile.recover(config, EventReport())

        died = killed_at(moment, monkeypatch, recover)
        if (folder / "x.wav").exists():  # whole, whenever it is seen
            assert len(read(folder / "x.wav")) == 100
            assert (folder / "x.wav.json").exists()
        recover()
        assert {path.name for path in folder.iterdir()} == {"x.wav", "x.wav.json"}
        assert (read(folder / "x.wav") == [1000, -1000]).all()
        metadata = json.loads((folder / "x.wav.json").read_text())
        assert metadata["sha256"] == hashlib.sha256((folder / "x.wav").read_bytes()).hexdigest()
        if not died:
            break
    assert 8 < moment < 100


def test_recover_of_nothing_is_nothing(tmp_path):
    report = EventReport()
    WavFile.recover(WavFile.Config(path=f"{tmp_path}/none/{{started:%Y}}/{{flow}}.wav"), report)
    assert report.events == []


def new(tmp_path, container=Wav):
    return RecordingFile(PathTemplate(f"{tmp_path}/x.wav"), SESSION, container, journal.head(SESSION, 1, "", 0.0))


def test_a_file_grows_beside_its_journal_and_ends_with_metadata(tmp_path):
    file = new(tmp_path)
    assert file.room(1 << 20) == 0  # the format is not known yet
    file.begin("s16", 8000, 1, ["agent"])
    file.write(np.ones(80, np.int16))
    assert {path.name for path in tmp_path.iterdir()} == {"x.wav.part", "x.wav.json.part"}
    assert file.finish(journal.Tail("call", {}), EventReport()) == (tmp_path / "x.wav", 0.01)
    assert {path.name for path in tmp_path.iterdir()} == {"x.wav", "x.wav.json"}
    assert about(tmp_path / "x.wav")["parties"] == ["agent"]


def test_samples_before_the_format_are_not_written(tmp_path):
    file = new(tmp_path)
    file.write(np.ones(80, np.int16))
    assert file.frames == 0
    file.discard()
    assert not list(tmp_path.iterdir())


def test_without_samples_a_container_may_leave_no_file(tmp_path):
    assert new(tmp_path, Flac).finish(journal.Tail("call", {}), EventReport()) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("room", [0, 20])
def test_without_room_for_the_journal_no_file_is_left(tmp_path, room):
    with FakeDisk(tmp_path) as disk:
        disk.room = room
        with pytest.raises(OSError, match="No space left"):
            new(tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_a_journal_no_file_is_left(tmp_path):
    (tmp_path / "x.wav.json.part").mkdir()
    with pytest.raises(OSError, match="directory"):
        new(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav.json.part"]


def test_a_damaged_file_keeps_its_samples_under_another_name(tmp_path):
    file = new(tmp_path)
    file.begin("s16", 8000, 1, ["agent"])
    file.write(np.ones(80, np.int16))
    assert file.leave() == tmp_path / "x.damaged.wav.part"
    assert {path.name for path in tmp_path.iterdir()} == {"x.damaged.wav.part", "x.damaged.wav.json.part"}


def test_without_room_for_metadata_the_journal_stays_and_the_next_start_makes_them(tmp_path, monkeypatch):
    report = EventReport()
    file = new(tmp_path)
    file.begin("s16", 8000, 1, ["agent"])
    file.write(np.ones(80, np.int16))
    with monkeypatch.context() as patch:
        refuse(recording_file, "write_whole", errno.ENOSPC, patch)
        assert file.finish(journal.Tail("call", {}), report) == (tmp_path / "x.wav", 0.01)
    assert [event for event, _ in report.events] == ["metadata_failed"]
    assert {path.name for path in tmp_path.iterdir()} == {"x.wav", "x.wav.json.part"}
    with monkeypatch.context() as patch:
        refuse(recording_file, "write_whole", errno.ENOSPC, patch)
        recording_file.recover(PathTemplate(f"{tmp_path}/x.wav"), Wav, report)
    assert [event for event, _ in report.events] == ["metadata_failed", "metadata_failed"]
    recording_file.recover(PathTemplate(f"{tmp_path}/x.wav"), Wav, report)
    assert {path.name for path in tmp_path.iterdir()} == {"x.wav", "x.wav.json"}
    assert about(tmp_path / "x.wav")["end"] == "call"
