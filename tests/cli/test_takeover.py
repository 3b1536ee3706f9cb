"""`flowcore run --takeover` and `flowcore upgrade`: a new process gets the port of a running one; no call notices."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.support.live import until
from tests.support.phone import Phone, said, stereo
from tests.support.phone_grpc import GrpcPhone
from tests.support.service import FLOWCORE, RECORD, Service
from tools.load import Load, call_id

pytestmark = pytest.mark.slow

LIVE = 16
OVER_GRPC = 4


class Successor(Service):
    """``flowcore run graphs/record.yaml --takeover``, with the port, the folder and the control socket of another."""

    def __init__(self, folder: Path, *options: str, workers: int = 1, graph: Path = RECORD) -> None:
        super().__init__(folder, "--finish", "2h", "--takeover", *options, workers=workers, graph=graph)


def first(folder: Path, *options: str, workers: int = 1) -> Service:
    return Service(folder, "--finish", "2h", *options, workers=workers)


def target(url: str) -> str:
    return url.partition("://")[2].rstrip("/")


def live_call(service: Service, name: str) -> Phone:
    phone = Phone(service.url, name)
    phone.start()
    phone.talk(7, 0.6)
    service.until(lambda calls: name in {call["call_id"] for call in calls})
    return phone


def end(phone: Phone) -> None:
    phone.talk(7, 0.6)
    phone.stop()
    phone.hang_up()


def is_whole(folder: Path, name: str, number: int = 7) -> bool:
    return np.array_equal(stereo(folder / f"{name}.wav"), np.concatenate([said(number, 0.6)] * 2))


class Burst:
    """New calls over both transports, one after the other, from now until the end of the block."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.names: list[str] = []
        self.statuses: list[str] = []
        self._over = threading.Event()

    def __enter__(self) -> Burst:
        self._threads = ThreadPoolExecutor(3)
        self._channel = grpc.insecure_channel(target(self.url))
        self._calls = [self._threads.submit(self._over_websocket, "a"), self._threads.submit(self._over_websocket, "b")]
        self._calls.append(self._threads.submit(self._over_grpc))
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for calls in self._calls:
            calls.result(60)
        self._channel.close()

    def until(self, count: int) -> None:
        """Wait for so many more calls."""
        goal = len(self.names) + count
        until(lambda: len(self.names) >= goal or any(calls.done() for calls in self._calls))

    def _over_websocket(self, thread: str) -> None:
        number = 0
        while not self._over.is_set():
            name = f"burst-{thread}{number}"
            phone = Phone(self.url, name)  # which asserts that it is let in
            phone.start()
            phone.talk(7, 0.6)
            end(phone)
            self.names.append(name)
            number += 1

    def _over_grpc(self) -> None:
        number = 0
        while not self._over.is_set():
            name = f"burst-g{number}"
            phone = GrpcPhone(self.url, name, channel=self._channel)  # which a GOAWAY moves
            phone.start()
            phone.talk(7, 1.2)
            self.statuses.append(phone.hang_up())
            self.names.append(name)
            number += 1


@contextmanager
def load(url: str, seconds: float) -> Iterator[Load]:
    """``LIVE`` calls at real pace; the end of the block waits for their end."""
    load, talking = Load(url, LIVE, seconds), threading.Event()
    load.talking = talking.set
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(load.run)
        assert talking.wait(60)
        yield load
        running.result()


def rows(folder: Path) -> dict[str, tuple[str, int]]:
    """The reason and the lost ms of each call in the call log."""
    with sqlite3.connect(folder / "calls.sqlite") as database:
        found = database.execute("SELECT call_id, reason, lost_ms FROM calls").fetchall()
    return {name: (reason, lost) for name, reason, lost in found}


@pytest.mark.fault(97)
@pytest.mark.parametrize("workers", [1, 2])
def test_twenty_live_calls_lose_nothing_and_new_ones_come_all_the_time(tmp_path, workers):
    with first(tmp_path, workers=workers) as old:
        over_grpc = [GrpcPhone(old.url, f"grpc{number}", target=target(old.url)) for number in range(OVER_GRPC)]
        for phone in over_grpc:
            phone.start()
            phone.talk(7, 0.6)
        with load(old.url, 8.0) as calls, Burst(old.url) as burst:
            old.until(lambda listed: len(listed) >= LIVE + OVER_GRPC)
            burst.until(3)
            with Successor(tmp_path, workers=workers) as new:
                new.heard("taken_over")
                taken = len(burst.names)
                burst.until(6)
                here = {call["worker"] for call in new.calls()}
                assert here & set(range(1, workers + 1))  # the old one's calls are listed by the new one
                burst.__exit__()
                for phone in over_grpc:
                    phone.talk(7, 1.2, since=0.6)
                    assert phone.hang_up() == "OK"
                assert calls.result.calls == LIVE
                assert old.ended() == 0
                new.heard("predecessor_ended")
                assert new.stop() == 0
    result = calls.result
    assert (result.refused, result.closed, result.unclosed) == (0, 0, 0)
    assert burst.statuses
    assert set(burst.statuses) == {"OK"}
    names = [*map(call_id, range(LIVE)), *burst.names]
    closed = [event for service in (old, new) for event in service.named("flow_closed")]
    assert sorted(event["call_id"] for event in closed) == sorted([*names, *(f"grpc{n}" for n in range(OVER_GRPC))])
    assert {(event["reason"], event["lost_ms"]) for event in closed} == {("stop", 0)}
    assert not [event for service in (old, new) for event in service.named("session_refused")]
    for number in range(LIVE):
        assert np.array_equal(stereo(tmp_path / f"{call_id(number)}.wav"), said(number, 8.0))
    for name in burst.names:
        assert name.startswith("burst-g") or is_whole(tmp_path, name)
    for name in [*(name for name in burst.names if name.startswith("burst-g")), "grpc0"]:
        assert np.array_equal(stereo(tmp_path / f"{name}.wav"), said(7, 1.2))
    in_new = {event["call_id"] for event in new.named("flow_closed")}
    assert in_new & set(burst.names[taken:])
    assert rows(tmp_path) == {event["call_id"]: ("stop", 0) for event in closed}
    assert not list(tmp_path.glob("*.part"))


def test_a_connection_that_came_before_may_start_its_call_afterwards(tmp_path):
    with first(tmp_path) as old:
        waiting = Phone(old.url, "waiting")
        with Successor(tmp_path) as new:
            new.heard("taken_over")
            old.heard("handed_over")
            waiting.start()
            waiting.talk(7, 0.6)
            new.until(lambda calls: [call["call_id"] for call in calls] == ["waiting"])
            end(waiting)
            assert old.ended() == 0
            assert new.stop() == 0
    assert [event["reason"] for event in old.named("flow_closed")] == ["stop"]
    assert is_whole(tmp_path, "waiting")


def test_the_new_process_takes_connections_also_while_the_old_one_hangs(tmp_path):
    with first(tmp_path) as old:
        new = Successor(tmp_path)
        old.heard("takeover_requested")
        old.process.send_signal(signal.SIGSTOP)  # it accepts none, and cannot close its socket
        with new:
            host, port = target(new.url).split(":")
            for _ in range(20):
                with socket.create_connection((host, int(port)), timeout=60) as connection:
                    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert b" 200 " in connection.recv(4096)
            old.process.send_signal(signal.SIGCONT)
            new.heard("taken_over")
            assert old.ended() == 0
            assert new.stop() == 0


def test_without_a_running_process_it_starts_as_usual(tmp_path):
    with Successor(tmp_path) as only:
        end(live_call(only, "one"))
        assert only.stop() == 0
    assert not only.named("taken_over")
    assert is_whole(tmp_path, "one")


def test_a_new_process_that_cannot_start_changes_nothing(tmp_path):
    with first(tmp_path) as old:
        phone = live_call(old, "one")
        blocked = tmp_path / "blocked"
        blocked.write_text("no folder")
        done = run(tmp_path, "--set", "call.port=0", "--set", f"wav.path={blocked}/x.wav")
        assert done.returncode == 1
        assert "blocked" in done.stderr
        (gone,) = old.heard("takeover_given_up")
        assert gone["pid"] == old.named("takeover_requested")[0]["pid"]
        assert old.control.exists()
        assert not list(tmp_path.glob("control.*"))
        end(live_call(old, "two"))
        end(phone)
        assert old.stop() == 0
    assert is_whole(tmp_path, "one")
    assert is_whole(tmp_path, "two")


def test_an_old_process_that_is_killed_before_the_new_one_is_ready_leaves_it_the_port(tmp_path):
    with first(tmp_path) as old:
        live_call(old, "one")
        old.until_recorded(tmp_path, 1)
        new = Successor(tmp_path)
        old.heard("takeover_requested")
        old.process.kill()
        with new:
            new.heard("predecessor_ended")
            (repaired,) = new.heard("file_repaired")
            assert Path(repaired["path"]).name == "one.wav"
            assert new.control.exists()
            end(live_call(new, "two"))
            until(lambda: rows(tmp_path).get("one", ("",))[0] == "killed")
            assert new.stop() == 0
    assert is_whole(tmp_path, "two")
    assert not new.named("taken_over")


def test_an_old_process_that_is_killed_while_its_calls_end_leaves_whole_files(tmp_path):
    with first(tmp_path) as old:
        live_call(old, "one")
        old.until_recorded(tmp_path, 1)
        with Successor(tmp_path) as new:
            new.heard("taken_over")
            old.process.kill()
            new.heard("predecessor_ended")
            new.heard("file_repaired")
            assert new.calls() == []
            assert new.stop() == 0
    assert not list(tmp_path.glob("*.finishing"))


def test_a_paused_call_stays_silent_when_its_peer_connects_to_the_new_process(tmp_path):
    def command(service: Service, *words: str) -> None:
        subprocess.run([FLOWCORE, "call", *words, "--control", service.control], check=True, capture_output=True)

    with first(tmp_path) as old:
        before, after = live_call(old, "before"), live_call(old, "after")
        command(old, "before", "pause")
        with Successor(tmp_path, workers=2) as new:
            new.heard("taken_over")
            command(new, "after", "pause")  # a call of the old process, found through the new one
            for name in ("before", "after"):
                again = live_call(new, name)
                new.until(lambda calls: len(calls) == 3)
                assert [call["paused"] for call in new.calls() if call["call_id"] == name] == [True, True]
                again.stop()
                again.hang_up()
                new.until(lambda calls: len(calls) == 2)
            end(before)
            end(after)
            assert old.ended() == 0
            assert new.stop() == 0
    for name in ("before", "after"):
        assert not stereo(tmp_path / f"{name}-2.wav").any()


def test_the_end_of_the_new_process_waits_for_the_calls_of_the_old_one(tmp_path):
    with first(tmp_path) as old:
        phone = live_call(old, "one")
        with Successor(tmp_path) as new:
            new.heard("taken_over")
            new.process.send_signal(signal.SIGTERM)
            new.heard("finish_requested")
            assert [call["call_id"] for call in new.calls()] == ["one"]
            end(phone)
            assert new.ended() == 0
            assert old.ended() == 0
    assert is_whole(tmp_path, "one")


def test_a_second_signal_to_the_new_process_ends_the_calls_of_the_old_one_in_order(tmp_path):
    with first(tmp_path, workers=2) as old:
        live_call(old, "one")
        with Successor(tmp_path, workers=2) as new:
            new.heard("taken_over")
            new.process.send_signal(signal.SIGTERM)
            new.heard("finish_requested")
            new.process.send_signal(signal.SIGTERM)
            assert new.ended() == 0
            assert old.ended() == 0
    assert [event["reason"] for event in old.named("flow_closed")] == ["stopping"]
    assert (tmp_path / "one.wav").exists()


def test_a_third_process_lists_the_calls_of_both_before_it(tmp_path):
    with first(tmp_path) as one:
        phones = [live_call(one, "one")]
        with Successor(tmp_path) as two:
            two.heard("taken_over")
            phones.append(live_call(two, "two"))
            with Successor(tmp_path) as three:
                three.heard("taken_over")
                phones.append(live_call(three, "three"))
                calls = three.until(lambda calls: len(calls) == 3)
                assert len({call["worker"] for call in calls}) == 3
                for phone in phones:
                    end(phone)
                assert (one.ended(), two.ended()) == (0, 0)
                three.heard("predecessor_ended", 2)
                assert three.stop() == 0
    assert all(is_whole(tmp_path, name) for name in ("one", "two", "three"))
    assert not (tmp_path / ".flowcore.lock").exists()


def test_another_port_is_no_successor(tmp_path):
    with first(tmp_path) as old:
        done = run(tmp_path, "--set", "call.port=3999")
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: cannot take over from the process at {old.control}: it listens at 127.0")
        assert "and the new one would at 127.0.0.1:3999: a takeover keeps the address" in done.stderr
        assert old.stop() == 0
    assert not old.named("takeover_requested")


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [FLOWCORE, "run", RECORD, "--takeover", "--control", folder / "control"]
    command += ["--set", f"wav.path={folder}/x.wav", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_the_socket_of_another_user_is_refused():
    listen = """
import os, socket, sys
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(sys.argv[1])
    listening.listen()
    print("up", flush=True)
    while True:
        listening.accept()[0].recv(4096)
"""
    with tempfile.TemporaryDirectory() as name:  # pytest's folders are for one user
        folder = Path(name)
        folder.chmod(0o777)
        command = [sys.executable, "-c", listen, folder / "control"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stranger:
            assert stranger.stdout.readline() == "up\n"
            done = run(folder, "--set", "call.port=0")
            stranger.kill()
    assert (done.returncode, done.stderr) == (
        1,
        f"error: cannot take over from process {stranger.pid}: it belongs to another user\n",
    )


def test_a_run_that_does_not_take_over_is_told_how_to(tmp_path):
    with first(tmp_path) as old:
        done = subprocess.run(
            [FLOWCORE, "run", RECORD, "--set", "call.port=0", "--set", f"wav.path={tmp_path}/x.wav"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert "is in use by another flowcore" in done.stderr
        assert "--takeover takes its place" in done.stderr
        assert old.stop() == 0


def test_upgrade_starts_the_same_command_which_takes_over(tmp_path):
    with first(tmp_path, "--admin", "0") as old:
        phone = live_call(old, "one")
        done = upgrade(old)
        assert done.returncode == 0, done.stderr
        pid = int(done.stdout.split()[1])
        assert done.stdout == f"process {pid} takes calls; process {old.process.pid} ends with its last call\n"
        again = Phone(old.url, "two")
        again.start()
        again.talk(7, 0.6)
        old.until(lambda calls: len(calls) == 2)  # at the same control socket, for both processes
        end(again)
        end(phone)
        assert old.ended() == 0
        os.kill(pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}").exists())
    log = [json.loads(line) for line in done.stderr_file.read_text().splitlines() if line.startswith("{")]
    assert {"taken_over", "predecessor_ended", "admin_opened"} <= {event["event"] for event in log}
    assert is_whole(tmp_path, "one")
    assert is_whole(tmp_path, "two")


def upgrade(service: Service) -> subprocess.CompletedProcess[str]:
    """`flowcore upgrade`, whose errors and whose new process's log are in a file: that process lives longer."""
    file = service.control.with_name("upgrade.log")
    with file.open("w") as errors:
        command = [FLOWCORE, "upgrade", "--control", service.control]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=60)
    done.stderr, done.stderr_file = file.read_text(), file
    return done


def test_upgrade_says_why_the_new_process_did_not_start(tmp_path):
    graph = tmp_path / "graph.yaml"
    graph.write_text(RECORD.read_text())
    with Service(tmp_path, "--set", f"wav.path={tmp_path}/{{call_id}}.wav", graph=graph, workers=1) as old:
        graph.write_text(RECORD.read_text().replace("use: ringcx", "use: ringxc"))
        done = upgrade(old)
        assert done.returncode == 1
        assert 'did you mean "ringcx"?' in done.stderr
        why = f"error: the new process could not start; process {old.process.pid} goes on if it did before"
        assert done.stderr.splitlines()[-1] == why
        end(live_call(old, "one"))
        assert old.stop() == 0
