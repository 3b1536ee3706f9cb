"""The doctor's recording of a connection when the disk fails or the recording gets too long."""

from pathlib import Path

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from nodes.doctor.call_recorder import CallRecorder
from nodes.ringcx.call_recording import Closed, Message, Opened, read
from nodes.ringcx.redact import Redactor


@pytest.fixture
def recorder(tmp_path: Path) -> CallRecorder:
    recorder = CallRecorder(tmp_path / "call.jsonl", Redactor(None))
    recorder.begin(Request("/?callId=1", Headers()), 100.0)
    return recorder


def test_a_recording_gets_its_name_when_it_is_complete(recorder: CallRecorder, tmp_path: Path) -> None:
    recorder.message(b'{"event":"Connected"}', 100.5)
    assert not (tmp_path / "call.jsonl").exists()
    assert recorder.close("peer_closed", 1000, 101.0) == tmp_path / "call.jsonl"
    opened, message, closed = read((tmp_path / "call.jsonl").read_bytes().splitlines(keepends=True))
    assert isinstance(opened, Opened)
    assert message == Message(100.5, '{"event":"Connected"}')
    assert closed == Closed(101.0, "peer_closed", 1000)


def test_a_recording_at_its_limit_ends_before_the_call(
    recorder: CallRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodes.doctor.call_recorder.MAX_SIZE", 10)
    recorder.message(b'{"event":"Connected"}', 100.5)
    recorder.message(b'{"event":"Stop"}', 100.6)
    assert recorder.error == "the recording has reached 1 GiB, and ends before the call"
    assert recorder.close("peer_closed", 1000, 101.0) == tmp_path / "call.jsonl"
    assert len((tmp_path / "call.jsonl").read_bytes().splitlines()) == 1


def test_a_full_disk_ends_the_recording_and_not_the_call(
    recorder: CallRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nodes.doctor.call_recorder.NewFile.append", full)
    recorder.message(b'{"event":"Connected"}', 100.5)
    assert "the recording ends before the call" in recorder.error
    assert "No space left on device" in recorder.error


def test_a_recording_that_cannot_get_its_name_is_reported(
    recorder: CallRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> Path:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("nodes.doctor.call_recorder.publish", fail)
    assert recorder.close("peer_closed", None, 101.0) is None
    assert recorder.error.endswith("Read-only file system")


def test_a_recording_that_was_removed_meanwhile_gives_its_name_to_no_other_file(
    recorder: CallRecorder, tmp_path: Path
) -> None:
    (tmp_path / "call.jsonl.part").unlink()
    (tmp_path / "call.jsonl.part").write_text("of another call")
    assert recorder.close("peer_closed", 1000, 101.0) is None
    assert "removed or renamed" in recorder.error
    assert [path.name for path in tmp_path.iterdir()] == ["call.jsonl.part"]
