import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flowcore import Audio, CannotStart
from flowcore.testing import FakeDisk, NodeHarness, run_plan, silence, tone
from nodes.recording import recorder
from nodes.sinks.audio_file import AudioFile
from nodes.sinks.wav_file import WavFile
from tests.engine.nodes import Tones, plan, step
from tests.support.failing_disks import no_descriptor_left, refuse
from tests.support.recordings import about, files, read, record, stereo


def test_a_hole_becomes_silence_of_its_length_and_is_counted(tmp_path):
    harness = record(tmp_path, stereo(8000, 10), stereo(808_010, 10))  # 100 s are several pieces
    samples = read(files(harness)[0])
    assert len(samples) == 808_020
    assert not samples[:8000].any()
    assert not samples[8010:808_010].any()
    assert (samples[808_010:] == [1000, -1000]).all()
    assert harness.filled == {"hole": 2 * 101.0}  # seconds of one channel


def test_late_audio_is_dropped_and_counted_and_the_rest_of_its_chunk_is_kept(tmp_path):
    harness = record(tmp_path, stereo(0, 800, 1), stereo(0, 400, 2), stereo(400, 800, 3), stereo(1200, 8, 4))
    assert read(files(harness)[0])[:, 0].tolist() == [1] * 800 + [3] * 400 + [4] * 8
    assert harness.dropped == {"late": 2 * 0.1}
    assert harness.dropped_chunks == {"late": 1}


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 120)), max_size=20))
def test_chunks_keep_their_positions_and_the_counters_balance(tmp_path_factory, places):
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


def test_same_name_twice_gives_two_recordings(tmp_path):
    first, second = record(tmp_path, *tone("20ms")), record(tmp_path, *silence("20ms"))
    assert [Path(path).name for path in files(first) + files(second)] == ["test-flow.wav", "test-flow-2.wav"]
    assert read(files(first)[0]).any()
    assert not read(files(second)[0]).any()


def test_a_full_file_continues_in_the_next_file(tmp_path):
    ramp = np.arange(10_000, dtype=np.int16).reshape(-1, 2)
    harness = record(tmp_path, Audio(ramp, "s16", 8000, "", 0), max="8KiB")
    assert [Path(path).name for path in files(harness)] == ["test-flow.wav", "test-flow-2.wav", "test-flow-3.wav"]
    assert all(Path(path).stat().st_size <= 8192 for path in files(harness))
    assert (np.concatenate([read(path) for path in files(harness)]) == ramp).all()


def test_a_full_file_at_the_end_begins_no_empty_file(tmp_path):
    frames = (8192 - 44) // 4
    assert len(files(record(tmp_path, stereo(0, frames), max="8KiB"))) == 1
    assert len(files(record(tmp_path / "more", stereo(0, frames), stereo(frames, 1), max="8KiB"))) == 2


@pytest.mark.fault(24)
def test_other_rate_in_mid_call_fails_instead_of_playing_at_a_wrong_speed(tmp_path):
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav"}).push(*tone("20ms"))
    with pytest.raises(ValueError, match="a file holds one format"):
        harness.push(*tone("20ms", rate=16000, start=320))
    harness.end()
    assert len(read(tmp_path / "x.wav")) == 160


def test_length_begins_the_next_file_and_metadata_link_them(tmp_path):
    harness = record(tmp_path, stereo(0, 10_000), stereo(30_000, 1000), length="1s")
    told = [about(path) for path in files(harness)]
    assert [one["seconds"] for one in told] == [1.0, 1.0, 1.0, 0.875]
    assert [one["start"] for one in told] == [0.0, 1.0, 2.0, 3.0]
    assert [one["end"] for one in told] == ["length", "length", "length", "call"]
    assert [one["segment"] for one in told] == [1, 2, 3, 4]
    assert [one["previous"] for one in told] == [None, *(one["recording"] for one in told[:-1])]
    assert told[1]["holds"] == [{"start": 1.25, "end": 3.75}]


@pytest.mark.fault(55)
@pytest.mark.parametrize("fsync", ["always", "end"])
def test_a_running_recording_stays_whole_while_no_descriptor_is_left(tmp_path, fsync):
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/{{flow}}.wav", "fsync": fsync})
    with no_descriptor_left():
        harness.push(*(stereo(800 * number, 800, number + 1) for number in range(10)))
    harness.push(stereo(8000, 800)).end()
    assert len(read(files(harness)[0])) == 8800
    assert not harness.dropped
    assert about(files(harness)[0])["complete"]


@pytest.mark.fault(55)
def test_a_recording_that_finds_no_descriptor_counts_its_loss_and_begins_later(tmp_path):
    with no_descriptor_left():
        harness = NodeHarness(WavFile, {"path": f"{tmp_path}/{{flow}}.wav"}).push(stereo(0, 40_000))
    harness.push(stereo(40_000, 8000)).end()
    assert harness.dropped == {"open_files": 2 * 5.0}
    assert about(files(harness)[0])["gaps"] == [{"start": 0.0, "end": 5.0, "reason": "open_files"}]


def second(number, value):
    return stereo(8000 * number, 8000, value)


@pytest.mark.fault(57)
@pytest.mark.parametrize("remove", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("moved"))])
@pytest.mark.parametrize("fsync", ["always", "end"])
def test_a_folder_that_is_removed_during_the_call_is_a_gap_and_the_next_file_names_no_missing_one(
    tmp_path, remove, fsync
):
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/day/{{flow}}.wav", "fsync": fsync})
    harness.push(second(0, 1), second(1, 2))
    remove(tmp_path / "day")
    harness.push(second(2, 3), second(3, 4)).end()
    (path,) = files(harness)
    assert read(path)[:, 0].tolist() == [3] * 8000 + [4] * 8000
    told = about(path)
    assert told["gaps"] == [{"start": 0.0, "end": 2.0, "reason": "file_removed"}]
    assert (told["complete"], told["previous"], told["segment"], told["start"]) == (False, None, 2, 2.0)
    assert harness.dropped == {"file_removed": 2 * 2.0}
    (data,) = [data for event, data in harness.events if event == "file_removed"]
    assert data == {"path": f"{tmp_path}/day/test-flow.wav.part", "seconds": 2.0}


@pytest.mark.fault(57)
@pytest.mark.parametrize("remove", [Path.unlink, lambda path: path.rename(path.with_name("elsewhere"))])
def test_a_removed_file_between_two_others_is_a_gap_and_previous_is_the_file_before_it(tmp_path, remove):
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/{{flow}}.wav", "length": "1s"})
    harness.push(second(0, 1), stereo(8000, 4000, 2))
    remove(tmp_path / "test-flow-2.wav.part")
    harness.push(stereo(12_000, 4000, 3)).end()
    first, last = files(harness)
    assert Path(last).name == "test-flow-3.wav"
    assert about(last)["previous"] == Path(first).name
    assert about(last)["gaps"] == [{"start": 1.0, "end": 1.5, "reason": "file_removed"}]
    assert sorted(path.name for path in tmp_path.glob("test-flow*")) == [
        "test-flow-3.wav",
        "test-flow-3.wav.json",
        "test-flow.wav",
        "test-flow.wav.json",
    ]


@pytest.mark.fault(57)
def test_a_finished_file_that_is_taken_away_leaves_its_name_to_no_other_file_of_the_call(tmp_path):
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/{{flow}}.wav", "length": "1s"})
    for number in range(3):
        harness.push(second(number, number + 1))
        for path in files(harness)[number:]:
            Path(path).unlink()
    harness.push(second(3, 4)).end()
    assert [Path(path).name for path in files(harness)] == [
        "test-flow.wav",
        *(f"test-flow-{number}.wav" for number in (2, 3, 4)),
    ]
    assert about(files(harness)[-1])["previous"] == "test-flow-3.wav"
    assert not harness.dropped


@pytest.mark.fault(57)
@pytest.mark.parametrize("speaks", [True, False])
def test_a_call_whose_file_was_removed_and_a_later_call_of_the_same_name_do_not_touch_each_other(tmp_path, speaks):
    first = NodeHarness(WavFile, {"path": f"{tmp_path}/same.wav"}).push(second(0, 1))
    (tmp_path / "same.wav.part").unlink()
    later = NodeHarness(WavFile, {"path": f"{tmp_path}/same.wav"}).push(second(0, 5))
    if speaks:
        first.push(second(1, 2))
    first.end()
    later.push(second(1, 6), second(2, 7)).end()
    assert [Path(path).name for path in files(later)] == ["same.wav"]
    assert read(tmp_path / "same.wav")[:, 0].tolist() == [5] * 8000 + [6] * 8000 + [7] * 8000
    assert (about(tmp_path / "same.wav")["complete"], about(tmp_path / "same.wav")["seconds"]) == (True, 3.0)
    assert first.dropped == {"file_removed": 2 * 1.0}
    assert [Path(path).name for path in files(first)] == ["same-2.wav"] * speaks
    if speaks:
        assert read(tmp_path / "same-2.wav")[:, 0].tolist() == [2] * 8000
        assert about(tmp_path / "same-2.wav")["gaps"] == [{"start": 0.0, "end": 1.0, "reason": "file_removed"}]


@pytest.mark.parametrize("kind", ["flac", "opus"])
def test_a_removed_file_of_an_encoder_is_a_gap_too(tmp_path, kind):
    harness = NodeHarness(AudioFile, {"path": f"{tmp_path}/day/{{flow}}.{kind}"})
    harness.push(*(second(number, 1) for number in range(5)))
    shutil.rmtree(tmp_path / "day")
    harness.push(*(second(number, 2) for number in range(5, 10))).end()
    (path,) = files(harness)
    told = about(path)
    lost = harness.dropped["file_removed"] / 2
    assert told["gaps"] == [{"start": 0.0, "end": lost, "reason": "file_removed"}]
    assert told["seconds"] + lost == 10.0


@pytest.mark.parametrize("fsync", ["7", "sometimes", "-1s"])
def test_wrong_fsync_is_refused(fsync):
    with pytest.raises(ValidationError):
        WavFile.Config(fsync=fsync)


def test_an_unwritable_path_names_field_and_fix(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"^path: cannot write to .*/file/x.wav: Not a directory; give a path in"):
        NodeHarness(WavFile, {"path": f"{tmp_path}/file/x.wav"})


def test_the_folder_is_checked_before_the_first_call(tmp_path):
    graph = plan(step("tone", Tones), step("wav", WavFile, "tone", path="/proc/recordings/{flow}.wav"))
    with pytest.raises(CannotStart, match=r"^wav.path: cannot write to /proc/recordings: No such file"):
        run_plan(graph)


def test_a_write_error_begins_the_next_file_within_the_chunk(tmp_path, monkeypatch):
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav"}).push(stereo(0, 800))
    refuse(harness.node._file, "write", errno.EIO, monkeypatch)
    harness.push(stereo(800, 800)).end()
    assert [event for event, _ in harness.events] == ["file_damaged", "file_finished"]
    (path,) = files(harness)
    assert (about(path)["start"], about(path)["previous"]) == (0.1, "x.damaged.wav")
    assert not harness.dropped


def test_a_failed_disk_suspends_the_recording_and_resumes_it_in_another_file(tmp_path):
    with FakeDisk(tmp_path) as disk:
        harness = NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav"}).push(stereo(0, 8000))
        disk.write_error = errno.EIO
        harness.push(stereo(8000, 8000), stereo(16_000, 8000))
        disk.write_error = 0
        harness.push(*(stereo(start, 8000) for start in range(24_000, 80_000, 8000))).end()
    events = [event for event, _ in harness.events]
    assert events == ["file_damaged", "recording_suspended", "recording_resumed", "file_finished"]
    assert harness.dropped == {"disk_failed": 2 * 5.0}  # seconds of one channel, until the next attempt
    (path,) = files(harness)
    found = about(path)
    assert found["gaps"] == [{"start": 1.0, "end": 6.0, "reason": "disk_failed"}]
    assert (found["start"], found["seconds"], found["previous"]) == (6.0, 4.0, "x.damaged.wav")


def test_a_full_disk_keeps_the_file_and_says_so(tmp_path):
    with FakeDisk(tmp_path) as disk:
        harness = NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav"}).push(stereo(0, 8000))
        disk.room = 0
        harness.push(stereo(8000, 8000))
        disk.room = None
        harness.end()
    events = [event for event, _ in harness.events]
    assert events[-1] == "recording_suspended"
    assert "file_damaged" not in events
    assert harness.dropped == {"disk_full": 2 * 1.0}
    assert (read(tmp_path / "x.wav") == [1000, -1000]).all()
    assert len(read(tmp_path / "x.wav")) == 8000


def test_too_little_free_space_suspends_the_recording_from_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr("nodes.recording.recorder.free_space", lambda root: 1 << 20)
    harness = record(tmp_path, stereo(0, 8000))
    assert [event for event, _ in harness.events] == ["recording_suspended"]
    assert "1 MiB are free, and min_free is 200MiB" in harness.events[0][1]["detail"]
    assert harness.dropped == {"disk_full": 2.0}
    assert not list(tmp_path.glob("*.wav*"))


@pytest.mark.parametrize(("fsync", "syncs"), [("always", 3), ("500ms", 1), ("end", 0)])
def test_fsync_is_the_most_audio_that_a_power_cut_costs(tmp_path, fsync, syncs):
    with FakeDisk(tmp_path) as disk:
        harness = NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav", "fsync": fsync})
        for start in (0, 800, 1600):
            harness.push(stereo(start, 800))
        harness.wait(0.5)
        assert disk.syncs.get(tmp_path / "x.wav.part", 0) == syncs
        harness.end()


def test_a_sync_error_sets_the_file_aside(tmp_path):
    with FakeDisk(tmp_path) as disk:
        harness = NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav", "fsync": "always"})
        disk.sync_error = errno.EIO
        harness.push(stereo(0, 800))
        disk.sync_error = 0
        harness.push(stereo(800, 800)).end()
    assert [event for event, _ in harness.events] == ["file_damaged", "file_finished"]
    assert len(read(tmp_path / "x.damaged.wav.part")) == 800


def test_a_file_that_cannot_be_completed_is_reported(tmp_path):
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav"}).push(stereo(0, 800))
    (tmp_path / "x.wav.part").write_bytes(b"another program's file" * 10)
    harness.end()
    assert [event for event, _ in harness.events] == ["file_unfinished"]


def test_the_disk_has_room_for_calls_of_ten_minutes_beside_the_free_space(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "free_space", lambda path: 100 * recorder.PLANNED_BYTES + (200 << 20))
    config = WavFile.Config(path=f"{tmp_path}/{{flow}}.wav", min_free="200MiB")
    assert WavFile.room(config) == {"disk": 100}
