"""`flowcore drain`: the process takes no more calls and ends with its last one."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from tests.support.phone import Phone, said, stereo
from tests.support.service import FLOWCORE, Service, upgrade

pytestmark = pytest.mark.slow


def drain(service: Service, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(FLOWCORE), "drain", "--control", str(service.control), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def live_call(service: Service) -> Phone:
    phone = Phone(service.url, "one")
    phone.start()
    phone.talk(7, 0.6)
    service.until(lambda calls: len(calls) == 1)
    return phone


@pytest.mark.parametrize("workers", [1, 2])
def test_a_live_call_goes_on_and_the_process_ends_with_it(tmp_path, workers):
    with Service(tmp_path, workers=workers) as service:
        phone = live_call(service)
        done = drain(service)
        assert (done.returncode, done.stdout) == (0, "it takes no more calls\n1 call to go\n")
        service.heard("finish_requested")
        while upgrade(service.url) != b"503":  # each worker knows with its next slot
            pass
        phone.talk(7, 0.6)
        phone.stop()
        phone.hang_up()
        assert service.ended() == 0
    assert [event["reason"] for event in service.named("flow_closed")] == ["stop"]
    assert np.array_equal(stereo(tmp_path / "one.wav"), np.concatenate([said(7, 0.6)] * 2))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_drain_changes_nothing_and_the_first_waits_for_the_end(tmp_path, workers):
    with Service(tmp_path, workers=workers) as service:
        phone = live_call(service)
        drain(service)
        done = drain(service, "--finish", "0s")
        assert done.stdout == "it was draining already; its first time limit stays\n1 call to go\n"
        waiting = subprocess.Popen(
            [str(FLOWCORE), "drain", "--wait", "--control", str(service.control)], stdout=subprocess.PIPE, text=True
        )
        assert waiting.stdout is not None
        assert [waiting.stdout.readline() for _ in range(2)][1] == "1 call to go\n"
        phone.stop()
        phone.hang_up()
        assert service.ended() == 0
        out, _ = waiting.communicate(timeout=60)
    assert out.splitlines()[-1] == "it has ended"
    assert waiting.returncode == 0


def test_a_time_of_zero_ends_calls_in_order(tmp_path):
    with Service(tmp_path, workers=1) as service:
        live_call(service)
        assert drain(service, "--finish", "0s").returncode == 0
        assert service.ended() == 0
    assert {event["reason"] for event in service.named("flow_closed")} == {"stopping"}


def test_without_a_process_it_says_how_to_start_one(tmp_path, monkeypatch, flowcore):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    done = flowcore("drain")
    assert (done.code, done.err) == (
        2,
        "error: no flowcore is running: start one with  flowcore run GRAPH, or give --control\n",
    )
