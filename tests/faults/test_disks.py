"""Rows 37 to 41 and 48: disks that lose their power, fail, are full or slow, and folders that two want."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from flowcore import ANY_AUDIO, Audio, CannotStart, Sink, node
from flowcore.files import Folder
from flowcore.testing import SESSION, FakeDisk, NodeHarness, VirtualPool, run_plan
from nodes.audio import wav
from nodes.sinks.wav_file import WavFile
from tests.faults.calls import recording, with_branch
from tests.support.live import Live, until
from tests.support.phone import Phone

pytestmark = pytest.mark.slow

RATE = 8000
SLOT = 0.02


class Quiet:
    """A report that discards everything."""

    def event(self, event: str, **data: Any) -> None: ...


def ramp(start: int, frames: int) -> Audio:
    """Samples that say where they belong."""
    return Audio((np.arange(start, start + frames) % 30_011).astype(np.int16), "s16", RATE, "agent", start)


def samples(path):
    return wav.decode(path.read_bytes())[1][:, 0]


def about(path):
    return json.loads(path.with_name(f"{path.name}.json").read_text())


def recordings(folder):
    """Return all files of a call in order, with their metadata."""
    return sorted(((about(path), samples(path)) for path in folder.glob("*.wav")), key=lambda pair: pair[0]["segment"])


class Call:
    """One call that is recorded while time passes."""

    def __init__(self, folder, number: int, **config: str) -> None:
        session = replace(SESSION, flow=f"call{number}")
        self.harness = NodeHarness(WavFile, {"path": f"{folder}/{{flow}}.wav", **config}, session=session)
        self.position = 0
        self.said: list[tuple[float, int]] = [(0.0, 0)]  # when, and how much was handed over by then

    def talk(self, frames: int) -> None:
        self.harness.push(ramp(self.position, frames))
        self.position += frames
        self.said.append((self.harness.now, self.position))

    def wait(self, seconds: float) -> None:
        self.harness.now += seconds
        self.harness._alarms.ring()

    def files(self) -> list[str]:
        return [data["path"] for event, data in self.harness.events if event == "file_finished"]

    def forget(self) -> None:
        """Raised to end a process as a power cut does."""
        with suppress(AttributeError):
            self.harness.node._file._close()


def kept(folder, number: int) -> int:
    """How much of a call is on the disk from its beginning on, after the repair; what is there must be right."""
    WavFile.recover(WavFile.Config(path=f"{folder}/{{flow}}.wav"), Quiet())
    position = 0
    for path in sorted(folder.glob(f"call{number}*.wav"), key=lambda path: about(path)["segment"]):
        assert about(path)["start"] == position / RATE
        found = samples(path)
        assert (found == ramp(position, len(found)).samples).all()
        position += len(found)
    return position


def power_cut_after_random_actions(folder, picks: random.Random) -> None:
    folder.mkdir()
    with FakeDisk(folder) as disk:
        calls, finished = [Call(folder, 0, max="64KiB")], {}
        for _ in range(picks.randint(1, 12)):
            call = calls[-1]
            match picks.choice(("talk", "talk", "talk", "wait", "end")):
                case "talk":
                    call.talk(picks.randint(1, 8000))
                case "wait":
                    call.wait(picks.choice((SLOT, 0.1, 1.0, 5.1)))
                case "end":
                    call.harness.end()
                    finished[len(calls) - 1] = call.position
                    calls.append(Call(folder, len(calls), max="64KiB"))
        for call in calls[:-1]:
            assert all(os.path.exists(path) for path in call.files())
    published = [path for call in calls for path in call.files()]
    disk.power_cut()
    calls[-1].forget()
    for path in published:
        assert os.path.exists(path), "a finished file disappeared"
    for number, call in enumerate(calls):
        until = call.harness.now - 5.0 - SLOT
        sure = finished.get(number, max(position for when, position in call.said if when <= until or not position))
        assert sure <= kept(folder, number) <= call.position


@pytest.mark.fault(37)
def test_a_power_cut_takes_5_s_at_most_and_never_a_finished_file(tmp_path):
    picks = random.Random(37)
    for number in range(60):
        power_cut_after_random_actions(tmp_path / str(number), picks)


@pytest.mark.fault(37)
@pytest.mark.slow
def test_in_a_thousand_random_sequences_of_actions(tmp_path):
    picks = random.Random(3700)
    for number in range(1000):
        power_cut_after_random_actions(tmp_path / str(number), picks)


@pytest.mark.fault(37)
def test_always_means_that_nothing_is_lost_and_end_that_all_may_be(tmp_path):
    for fsync, sure in (("always", 8000), ("end", 0)):
        folder = tmp_path / fsync
        folder.mkdir()
        with FakeDisk(folder) as disk:
            call = Call(folder, 0, fsync=fsync)
            call.talk(8000)
            call.wait(60)
        disk.power_cut()
        call.forget()
        assert kept(folder, 0) == sure


@pytest.mark.fault(37)
def test_calls_that_begin_together_are_synced_one_after_the_other_and_in_time(tmp_path):
    with FakeDisk(tmp_path) as disk:
        calls = [Call(tmp_path, number) for number in range(40)]
        for call in calls:
            call.talk(800)
        synced = [0]
        for _ in range(10):
            for call in calls:
                call.wait(0.5)
            synced.append(sum(path.name.endswith(".wav.part") for path in disk.syncs))
        for call in calls:
            call.harness.end()
    assert synced[-1] == 40
    assert max(after - before for before, after in pairwise(synced)) < 40 / 3


@pytest.mark.fault(38)
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
def test_after_a_write_that_failed_the_next_file_begins_within_the_chunk(tmp_path, number):
    with FakeDisk(tmp_path) as disk:
        call = Call(tmp_path, 0)
        call.talk(800)
        real, writes = disk._write, []

        def write(fd, data):
            writes.append(fd)
            disk.write_error = number if len(writes) == 1 else 0
            return real(fd, data)

        os.write = write
        call.talk(800)
        call.talk(800)
        call.harness.end()
    assert [event for event, _ in call.harness.events] == ["file_damaged", "file_finished"]
    assert not call.harness.dropped
    (second,) = recordings(tmp_path)
    assert (second[0]["segment"], second[0]["start"], second[0]["previous"]) == (2, 0.1, "call0.damaged.wav")
    assert (second[1] == ramp(800, 1600).samples).all()
    assert (samples(tmp_path / "call0.damaged.wav.part") == ramp(0, 800).samples).all()
    assert kept_of_damaged(tmp_path) == 800


def kept_of_damaged(folder):
    """Complete the files that are left, as the next start does."""
    WavFile.recover(WavFile.Config(path=f"{folder}/{{flow}}.wav"), Quiet())
    assert about(folder / "call0.damaged.wav")["complete"] is False
    return len(samples(folder / "call0.damaged.wav"))


@pytest.mark.fault(38)
def test_a_sync_that_failed_is_never_asked_again(tmp_path):
    with FakeDisk(tmp_path) as disk:
        call = Call(tmp_path, 0)
        call.talk(800)
        disk.sync_error = errno.EIO
        call.wait(5.1)
        disk.sync_error = 0
        synced = dict(disk.syncs)
        assert synced == {tmp_path / "call0.wav.part": 1}
        call.talk(800)
        call.wait(5.1)
        call.harness.end()
        assert disk.syncs[tmp_path / "call0.wav.part"] > 1  # another file, of that name again
        assert not any("damaged" in str(path) for path in disk.syncs)
    assert [event for event, _ in call.harness.events] == ["file_damaged", "file_finished"]
    assert (recordings(tmp_path)[0][1] == ramp(800, 800).samples).all()


@node("ear")
class TapClient(Sink[Any]):
    """Hears a branch beside the recorder."""

    caps = (ANY_AUDIO,)
    heard: list[Audio]

    def process(self, chunk: Any) -> None:
        self.heard.append(chunk)


def with_ear(plan):
    ear = type("Ear", (TapClient,), {"heard": [], "name": "ear"})
    return with_branch(plan, "ear", ear, "voices"), ear


@pytest.mark.fault(39)
def test_a_full_disk_costs_only_the_audio_that_does_not_fit(tmp_path):
    plan, ear = with_ear(recording(tmp_path, calls=1, length="30s"))
    with FakeDisk(tmp_path) as disk:

        def prepare(engine):
            began = engine.now()

            def look():
                full = 10 <= engine.now() - began < 18
                if full != (disk.room is not None):
                    disk.room = 5000 if full else None

            engine.every_slot(look)

        result = run_plan(plan, prepare=prepare)
    (flow,) = result.flows
    assert (flow.reason, flow.failures) == ("stop", ())
    assert sum(chunk.frames for chunk in ear.heard) == 2 * 30 * RATE
    assert [event.name for event in result.events if event.node == "wav"] == [
        "metadata_failed",
        "file_finished",
        "recording_suspended",
        "recording_resumed",
        "file_finished",
    ]
    names = sorted((path.name for path in tmp_path.glob("*.wav")), key=len)
    first, second = (wav.decode((tmp_path / name).read_bytes())[1] for name in names)
    lost = result.flows[0].stats["wav"].dropped.total().seconds
    assert len(first) / RATE + len(second) / RATE + lost == pytest.approx(30)
    assert 9.7 < len(first) / RATE < 10.2  # pieces of 200 ms, and what reorder had in hand
    assert 8 < lost < 16
    told = about(tmp_path / names[1])
    assert told["gaps"] == [{"start": len(first) / RATE, "end": told["start"], "reason": "disk_full"}]
    assert told["start"] == pytest.approx(30 - len(second) / RATE)
    assert told["dropped"] == {"disk_full": pytest.approx(lost, abs=0.001)}
    WavFile.recover(plan.nodes["wav"].config, Quiet())  # there is room now for the metadata that did not fit
    assert about(tmp_path / names[0])["segment"] == 1
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.fault(39)
def test_none_begins_below_the_floor_and_the_call_goes_on(tmp_path):
    plan, ear = with_ear(recording(tmp_path, ["wav.min_free=9000000GiB"], calls=1, length="10s"))
    result = run_plan(plan)
    (flow,) = result.flows
    assert (flow.reason, flow.failures) == ("stop", ())
    assert flow.stats["wav"].dropped["disk_full"].seconds == pytest.approx(10)
    assert sum(chunk.frames for chunk in ear.heard) == 2 * 10 * RATE
    assert [event.name for event in result.events if event.node == "wav"] == ["recording_suspended"]
    assert "min_free is 9000000GiB" in result.named("recording_suspended")[0].data["detail"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(39)
def test_a_full_disk_is_told_to_load_balancers_and_calls_are_taken_all_the_same(tmp_path):
    settings = [f"wav.path={tmp_path}/{{call_id}}.wav", "wav.min_free=9000000GiB"]
    with Live("record", settings, calls=1) as live:
        probe = live.url.replace("ws:", "http:") + "readyz"
        until(lambda: answer(probe) == (503, b"disk_full\n"))
        phone = Phone(live.url, "call")
        phone.start()
        phone.talk(1, 0.2)
        phone.stop()
        phone.hang_up()
    assert live.engine.totals.reasons == {"stop": 1}


def answer(url: str) -> tuple[int, bytes]:
    """The status and the text of a page."""
    try:
        with urllib.request.urlopen(url, timeout=30) as page:
            return page.status, page.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.fault(39)
def test_a_limit_for_each_file_begins_the_next_one(tmp_path):
    call = Call(tmp_path, 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        for _ in range(20):
            call.talk(800)
        call.harness.end()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not call.harness.dropped
    assert kept(tmp_path, 0) == 16_000
    assert max(path.stat().st_size for path in tmp_path.glob("*.wav")) <= 10_000


@pytest.mark.fault(40)
def test_writes_of_2_s_each_stall_no_other_branch_and_all_drops_are_counted(tmp_path):
    plan, ear = with_ear(recording(tmp_path, ["wav.queue.max=30s"], calls=1, length="45s"))
    with FakeDisk(tmp_path) as disk:
        disk.seconds = 2.0
        result = run_plan(plan, pool=VirtualPool())
    (flow,) = result.flows
    assert result.seconds < 45 + 10 + 5  # no slot waited for the disk, and the end only until its deadline
    assert sum(chunk.frames for chunk in ear.heard) == 2 * 45 * RATE
    assert not flow.stats["ear"].dropped
    stats = flow.stats["wav"]
    assert set(stats.dropped) == {"queue_full", "drain_deadline"}
    (path,) = (path for path in tmp_path.iterdir() if ".json" not in path.name)
    written = len(wav.decode(path.read_bytes())[1]) / RATE
    assert 1 < written < 45 / 2
    assert written + stats.dropped.total().seconds == pytest.approx(45)


HOLDER = """
import sys
from pathlib import Path
from flowcore.files import Folder
folder = Folder(Path(sys.argv[1]), alone=True)
folder.open()
print("mine", flush=True)
sys.stdin.readline()
folder.close()
"""


@pytest.mark.fault(48)
def test_a_folder_belongs_to_one_run_and_its_workers(tmp_path, monkeypatch):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(CannotStart, match=rf"is in use by another flowcore \(process {other.pid} on .*stop it, or"):
            Folder(tmp_path, alone=True).open()
        Folder(tmp_path).open()  # a transcript's may be shared
        monkeypatch.setenv("FLOWCORE_WORKERS", "2")
        monkeypatch.setattr(os, "getppid", lambda: other.pid)
        worker = Folder(tmp_path, alone=True)
        worker.open()
        monkeypatch.undo()
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.wait(30) == 0
        with pytest.raises(CannotStart):  # one of its processes is still there
            Folder(tmp_path, alone=True).open()
        worker.close()
    mine = Folder(tmp_path, alone=True)
    mine.open()
    mine.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(48)
def test_a_killed_run_leaves_no_lock(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "mine\n"
        other.kill()
    mine = Folder(tmp_path, alone=True)
    mine.open()
    mine.close()


def test_two_of_one_run_may_have_one_folder(tmp_path):
    first, second = Folder(tmp_path, alone=True), Folder(tmp_path, alone=True)
    first.open()
    second.open()
    second.close()
    assert [path.name for path in tmp_path.iterdir()] == [".flowcore.lock"]
    first.close()
    assert list(tmp_path.iterdir()) == []
    assert first == second
