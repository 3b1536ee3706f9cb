"""Several processes that share a port, as a user runs them: a call lost, a limit, a death, an end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from flowcore.control.client import ask
from tests.support.phone import MESSAGE, Phone, said, stereo
from tests.support.service import FLOWCORE, PATIENCE, Service, gone, upgrade
from tools.load import Load, call_id

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def let_go(phone: Phone) -> bool:
    """Whether the other side is gone, and said no goodbye."""
    try:
        return phone.socket.recv(4096) == b""
    except ConnectionResetError:
        return True


def test_calls_over_all_workers_are_recorded_whole_and_end_the_run(tmp_path):
    with Service(tmp_path, "--calls", "24") as service:
        result = Load(service.url, 24, 2.0).run()
        assert service.ended() == 0
        files = service.process.communicate()[0].splitlines()
    assert (result.refused, result.closed, result.unclosed) == (0, 0, 0)
    for call in range(24):
        assert np.array_equal(stereo(tmp_path / f"{call_id(call)}.wav"), said(call, 2.0))
    assert len(service.named("listener_opened")) == 1
    assert len(service.named("flow_closed")) == 24
    assert {event["worker"] for event in service.named("flow_closed")} <= {1, 2}
    assert files[-1] == "… and 14 files before these"
    assert not service.control.exists()


def test_a_killed_worker_is_replaced_its_files_are_whole_and_others_lose_nothing(tmp_path):
    with Service(tmp_path) as service:
        phones = [Phone(service.url, call_id(number)) for number in range(12)]
        for number, phone in enumerate(phones):
            phone.start()
            phone.talk(number, 1.0)
        calls = service.until_recorded(tmp_path, 12)
        victim = calls[0]["worker"]
        lost = {call["call_id"] for call in calls if call["worker"] == victim}
        os.kill(service.pids()[victim - 1], signal.SIGKILL)
        for number, phone in enumerate(phones):
            if call_id(number) in lost:
                assert let_go(phone)
            else:
                phone.talk(number, 1.0)
                phone.stop()
                phone.hang_up()
        service.heard("worker_started", 3)
        service.heard("file_repaired", len(lost))
        again = Phone(service.url, "again")
        again.start()
        again.talk(1, 0.5)
        again.stop()
        again.hang_up()
        assert service.stop() == 1
    assert [(event["worker"], event["how"], event["calls"]) for event in service.named("worker_died")] == [
        (victim, "SIGKILL", len(lost))
    ]
    for call in range(12):
        heard = stereo(tmp_path / f"{call_id(call)}.wav")
        whole = np.concatenate([said(call, 1.0)] * 2)
        assert np.array_equal(heard, whole[: len(heard)])
        assert len(heard) == len(whole) or call_id(call) in lost
    assert np.array_equal(stereo(tmp_path / "again.wav"), said(1, 0.5))
    assert not list(tmp_path.glob("*.part"))


def test_the_counters_of_a_killed_worker_add_up(tmp_path):
    with Service(tmp_path, "--stats", str(tmp_path / "stats.json")) as service:
        phones = [Phone(service.url, call_id(number)) for number in range(12)]
        for number, phone in enumerate(phones):
            phone.start()
            phone.talk(number, 1.0)
        calls = service.until_recorded(tmp_path, 12)
        victim = Counter(call["worker"] for call in calls).most_common(1)[0][0]
        killed = [call for call in calls if call["worker"] == victim]
        ended = killed[0]["call_id"]  # one more end, which is not a second old when its worker dies
        phones[int(ended[-6:])].stop()
        service.heard("flow_closed")
        os.kill(service.pids()[victim - 1], signal.SIGKILL)
        service.heard("worker_started", 3)
        assert service.stop() == 1
    stats = json.loads((tmp_path / "stats.json").read_text())
    died = len(killed) - 1
    assert stats["reasons"] == {"stop": 1, "worker_died": died, "stopping": 12 - len(killed)}
    assert (stats["flows"], stats["failed"]) == (12, died)
    ends = {event["call_id"]: event["reason"] for event in service.named("flow_closed")}
    assert {call for call, reason in ends.items() if reason == "worker_died"} == {
        call["call_id"] for call in killed[1:]
    }
    assert len(ends) == 12
    assert stats["nodes"]["call"]["out"]["chunks"] == 100 * (12 - died)


def test_a_run_that_lost_audio_says_so_at_its_end_and_by_its_code(tmp_path):
    with Service(tmp_path, "--stats", str(tmp_path / "stats.json")) as service:
        phone = Phone(service.url, "gappy")
        phone.start()
        phone.talk(1, 1.0)
        phone.sender.media("agent", bytes(MESSAGE))  # numbered, and never sent
        phone.talk(1, 1.0)
        phone.stop()
        (end,) = service.heard("flow_closed")
        assert service.stop() == 1
    stats = json.loads((tmp_path / "stats.json").read_text())
    assert (end["lost_ms"], end["level"]) == (20, "warning")
    assert stats["lost"] == end["lost"] == {"ordered": {"lost": {"chunks": 0, "ms": 20.0}}}
    assert (stats["lost_ms"], stats["failed"]) == (20, 0)


def test_max_calls_holds_over_all_workers_exactly(tmp_path):
    with Service(tmp_path, "--max-calls", "3") as service:
        phones = [Phone(service.url, f"call{number}") for number in range(3)]
        for phone in phones:
            phone.start()
        service.until(lambda calls: len(calls) == 3)
        assert {upgrade(service.url) for _ in range(20)} == {b"503"}
        phones[0].stop()
        phones[0].hang_up()
        service.until(lambda calls: len(calls) == 2)
        assert {upgrade(service.url) for _ in range(20)} == {b"101"}
        assert service.stop() == 0
    assert {event["reason"] for event in service.named("session_refused")} == {"busy"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_all_workers(tmp_path, number):
    with Service(tmp_path) as service:
        phones = [Phone(service.url, f"call{number}") for number in range(10)]
        for count, phone in enumerate(phones):
            phone.start()
            phone.talk(count, 0.6)
        service.until_recorded(tmp_path, 10, 3200)
        assert service.stop(number) == 0
        assert gone(service.pids())
    assert {event["reason"] for event in service.named("flow_closed")} == {"stopping"}
    for count in range(10):
        heard = stereo(tmp_path / f"call{count}.wav")
        both = len(heard) - MESSAGE  # one party may be a message ahead where the call was cut
        assert np.array_equal(heard[:both], said(count, 0.6)[:both])
    assert not list(tmp_path.glob("*.part"))


def test_one_worker_asked_to_end_gives_way_to_a_new_one(tmp_path):
    with Service(tmp_path) as service:
        os.kill(service.pids()[0], signal.SIGTERM)
        service.heard("worker_started", 3)
        assert service.stop() == 0
    assert not service.named("worker_died")


def test_the_second_signal_ends_at_once_even_a_worker_that_stands_still(tmp_path):
    with Service(tmp_path) as service:
        pids = service.pids()
        os.kill(pids[0], signal.SIGSTOP)
        assert ask(service.control, {"ask": "calls"}) == ({2: []}, [1])
        service.process.send_signal(signal.SIGTERM)
        service.heard("stop_requested")
        assert service.stop() == 1
        assert gone(pids)


def test_workers_outlive_a_killed_supervisor_only_to_end_their_calls(tmp_path):
    with Service(tmp_path) as service:
        phones = [Phone(service.url, f"call{number}") for number in range(4)]
        for phone in phones:
            phone.start()
            phone.talk(1, 0.6)
        service.until_recorded(tmp_path, 4, 3200)
        pids = service.pids()
        service.process.kill()
        assert gone(pids)
    assert sorted(path.name for path in tmp_path.glob("call*.wav")) == [f"call{number}.wav" for number in range(4)]


def test_what_no_worker_can_do_is_said_once(tmp_path):
    command = [FLOWCORE, "run", ROOT / "graphs" / "record.yaml", "--workers", "2", "--set", "call.port=0"]
    command += ["--set", "wav.path=/proc/none/{flow}.wav", "--control", tmp_path / "control"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr.startswith("error: wav.path: cannot write to /proc/none")
    assert len(done.stderr.splitlines()) == 1


def test_a_graph_that_listens_nowhere_is_not_run_twice(tmp_path):
    command = [FLOWCORE, "run", ROOT / "graphs" / "simulate.yaml", "--workers", "2", "--control", tmp_path / "control"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert done.stderr == "error: voices (wav_source) listens on no port to share: leave out --workers\n"


def test_a_taken_port_is_named_before_any_worker_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [FLOWCORE, "run", ROOT / "graphs" / "record.yaml", "--workers", "2", "--set", f"call.port={port}"]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: call.port: port {port} of 127.0.0.1 is taken")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.fault(33)
def test_the_service_manager_hears_what_a_run_with_workers_does(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv(
            "WATCHDOG_USEC", "10000000"
        )  # the socket holds ten messages, and nobody reads while it starts
        with Service(tmp_path) as service:
            said = {manager.recv(100)}
            while said != {b"READY=1", b"WATCHDOG=1"}:
                said.add(manager.recv(100))
            service.process.send_signal(signal.SIGTERM)
            while b"STOPPING=1" not in said:
                said.add(manager.recv(100))
            assert service.ended() == 0
