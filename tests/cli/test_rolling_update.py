"""A rolling update as in tools/deploy/kubernetes.yaml, with processes as pods and HAProxy as their service."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_takeover import OVER_GRPC, Burst, is_whole, load, target
from tests.support.live import until
from tests.support.phone import said, stereo
from tests.support.phone_grpc import GrpcPhone
from tests.support.ports import free_port
from tests.support.proxies import listens, program
from tests.support.service import Service
from tools.load import call_id

pytestmark = pytest.mark.slow

LIVE = 16
SECONDS = 10.0
HAPROXY = """
global
    stats socket {folder}/haproxy.sock level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend calls
    bind 127.0.0.1:{port}
    default_backend pods
backend pods
    option httpchk GET /readyz
    default-server check inter 200ms fall 1 rise 1
"""


class Balancer:
    """HAProxy in front of pods, which it asks whether they are ready; the test takes out those that are to end."""

    def __init__(self, folder: Path, pods: int) -> None:
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/"
        self.ports = [free_port() for _ in range(pods)]
        self._control = folder / "haproxy.sock"
        servers = "".join(f"    server pod{number} 127.0.0.1:{port}\n" for number, port in enumerate(self.ports))
        self._file = folder / "haproxy.cfg"
        self._file.write_text(HAPROXY.format(folder=folder, port=self.port) + servers)

    @contextmanager
    def running(self) -> Iterator[Balancer]:
        process = subprocess.Popen([program("haproxy"), "-db", "-f", str(self._file)], stderr=subprocess.PIPE)
        try:
            until(lambda: process.poll() is not None or listens(self.port))
            assert process.poll() is None, process.communicate()
            yield self
        finally:
            process.terminate()
            process.communicate(timeout=30)

    def until_(self, state: str, *pods: int) -> None:
        """Wait until HAProxy shows these pods as ``UP`` or ``DOWN``."""
        until(lambda: all(self._ask("show stat").get(f"pod{pod}", "").startswith(state) for pod in pods))

    def take_out(self, pod: int) -> None:
        self._ask(f"set server pods/pod{pod} state drain")

    def _ask(self, command: str) -> dict[str, str]:
        """The answer of the control socket: the status of each server of ``show stat``."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._control))
            connection.sendall(f"{command}\n".encode())
            lines = connection.makefile().read().splitlines()
        rows = [line.split(",") for line in lines if line.startswith("pods,")]
        return {row[1]: row[17] for row in rows}


def pod(folder: Path, balancer: Balancer, number: int) -> Service:
    own = folder / f"pod{number}"
    own.mkdir()
    return Service(own, "--finish", "2h", "--set", f"call.port={balancer.ports[number]}", workers=1)


@pytest.mark.fault(97)
def test_a_rolling_update_loses_no_message_and_refuses_no_call(tmp_path):
    """Two pods are replaced, one after the other, while twenty calls are live and new ones come all the time."""
    with Balancer(tmp_path, 4).running() as balancer, ExitStack() as stack:
        old = [stack.enter_context(pod(tmp_path, balancer, number)) for number in (0, 1)]
        balancer.until_("UP", 0, 1)
        balancer.until_("DOWN", 2, 3)
        held = [GrpcPhone(balancer.url, f"grpc{n}", target=target(balancer.url)) for n in range(OVER_GRPC)]
        for phone in held:
            phone.start()
            phone.talk(7, 0.6)
        with load(balancer.url, SECONDS) as calls, Burst(balancer.url) as burst:
            until(lambda: sum(len(one.calls()) for one in old) >= LIVE + OVER_GRPC)
            new = []
            for number, one in enumerate(old):
                new.append(stack.enter_context(pod(tmp_path, balancer, 2 + number)))
                balancer.until_("UP", 2 + number)
                balancer.take_out(number)
                burst.until(3)  # preStop: connections that were on their way have begun their calls
                assert one.calls()
                one.process.send_signal(signal.SIGTERM)
                one.heard("finish_requested")
                burst.until(3)
            burst.__exit__()
            for phone in held:
                phone.talk(7, 1.2, since=0.6)
                assert phone.hang_up() == "OK"
        assert [one.ended() for one in old] == [0, 0]
        assert [one.stop() for one in new] == [0, 0]
    result = calls.result
    assert (result.calls, result.refused, result.closed, result.unclosed) == (LIVE, 0, 0, 0)
    streams = [name for name in burst.names if name.startswith("burst-g")]
    # A stream that its client opens before it has read the GOAWAY is refused before it begins.
    refused = {name for name, status in zip(streams, burst.statuses, strict=True) if status == "UNAVAILABLE"}
    assert set(burst.statuses) <= {"OK", "UNAVAILABLE"}
    assert len(refused) == sum(len(one.named("session_refused")) for one in (*old, *new)) <= len(old)
    closed = [event for one in (*old, *new) for event in one.named("flow_closed")]
    names = [*map(call_id, range(LIVE)), *(f"grpc{number}" for number in range(OVER_GRPC)), *burst.names]
    names = [name for name in names if name not in refused]
    assert sorted(event["call_id"] for event in closed) == sorted(names)
    assert {(event["reason"], event["lost_ms"]) for event in closed} == {("stop", 0)}
    assert all(one.named("flow_closed") for one in (*old, *new))
    folders = {
        Path(event["path"]).stem: Path(event["path"]).parent
        for one in (*old, *new)
        for event in one.named("file_finished")
    }
    for number in range(LIVE):
        name = call_id(number)
        assert np.array_equal(stereo(folders[name] / f"{name}.wav"), said(number, SECONDS))
    for name in burst.names:
        assert name.startswith("burst-g") or is_whole(folders[name], name)
