"""Row 87: disks that are full or slow, and kills, end a capture and cost its call nothing."""

import os
import signal
import subprocess
import threading

import numpy as np
import pytest

from nodes.ringcx.call_recording import Message
from nodes.ringcx.capture import capture_file
from tests.support.captured_calls import Calls, played, records
from tests.support.live import until
from tests.support.phone import Phone, said, stereo
from tests.support.service import FLOWCORE, Service

pytestmark = pytest.mark.slow

SECONDS = 3.0


def heard_whole(running, phone):
    """Talk, hang up, and return the end of the capture."""
    phone.talk(1, SECONDS)
    running.hang_up(phone, "one")
    until(lambda: running.live.named("capture_closed"))
    assert np.array_equal(stereo(running.wav("one")), said(1, SECONDS))
    return running.live.named("capture_closed")[0]


@pytest.mark.fault(87)
@pytest.mark.parametrize("transport", ["websocket", "grpc"])
def test_a_full_disk_ends_the_capture_and_not_the_call(tmp_path, transport):
    with Calls(tmp_path, transport, calls="all", min_free="1000000GiB") as running:
        closed = heard_whole(running, running.phone("one"))
    assert (closed.data["reason"], closed.level) == ("disk_full", "warning")
    assert running.captures()


@pytest.mark.fault(87)
@pytest.mark.parametrize("transport", ["websocket", "grpc"])
def test_a_folder_that_cannot_be_written_ends_the_capture_and_not_the_call(tmp_path, transport):
    (tmp_path / "captures").touch()
    with Calls(tmp_path, transport) as running:
        running.ask(do="next", name="w", source="", within=60)
        closed = heard_whole(running, running.phone("one"))
    assert (closed.data["reason"], closed.data["path"]) == ("disk_failed", "")


@pytest.mark.fault(87)
@pytest.mark.parametrize("transport", ["websocket", "grpc"])
def test_a_disk_that_hangs_ends_the_capture_and_not_the_call(tmp_path, monkeypatch, transport):
    goes_on = threading.Event()

    class Hanging(capture_file.NewFile):
        def append(self, data):
            assert goes_on.wait(60)
            super().append(data)

    monkeypatch.setattr(capture_file, "NewFile", Hanging)
    monkeypatch.setattr(capture_file, "MAX_WAITING", 20_000)
    with Calls(tmp_path, transport, calls="all") as running:
        phone = running.phone("one")
        phone.talk(1, SECONDS)
        running.hang_up(phone, "one")  # its recording is complete while the capture hangs
        goes_on.set()
        until(lambda: running.live.named("capture_closed"))
    assert np.array_equal(stereo(running.wav("one")), said(1, SECONDS))
    (closed,) = running.live.named("capture_closed")
    assert closed.data["reason"] == "disk_slow"
    assert 0 < sum(len(record.text or record.data) for record in records(running.captures()[0])[1:-1]) < 25_000


@pytest.mark.fault(87)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_kill_leaves_a_capture_that_the_next_process_names_and_that_can_be_played(tmp_path, workers):
    options = ("--set", f"call.capture.path={tmp_path}/captures/{{call_id}}.capture")
    with Service(tmp_path, *options, workers=workers) as service:
        phones = [Phone(service.url, call) for call in ("one", "two", "three")]
        for number, phone in enumerate(phones):
            phone.start()
            phone.talk(number, 1.0)
        service.until(lambda calls: len(calls) == 3)
        done = subprocess.run(
            [FLOWCORE, "capture", "two", "--control", service.control], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout.strip()) == (0, f"{tmp_path}/captures/two.capture")
        phones[1].talk(7, 2.0)
        part = tmp_path / "captures" / "two.capture.part"
        until(lambda: part.exists() and part.stat().st_size > 60_000)
        for pid in service.pids() if workers > 1 else ():
            os.kill(pid, signal.SIGKILL)
        service.process.kill()
        service.ended()
    with Service(tmp_path, *options, workers=workers) as service:
        until((tmp_path / "captures" / "two.capture").exists)
        service.stop()
    assert f"{tmp_path}/captures/two.capture" in [event["path"] for event in service.named("file_repaired")]
    assert any(isinstance(record, Message) for record in records(tmp_path / "captures" / "two.capture"))
    result, _ = played(tmp_path / "captures" / "two.capture", tmp_path / "again")
    assert [flow.reason for flow in result.flows] == ["peer_lost"]
