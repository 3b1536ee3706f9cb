"""A deploy cuts no call: after SIGTERM, live calls go on to their end, and new ones are refused."""

from __future__ import annotations

import contextlib
import os
import signal
import urllib.error
import urllib.request

import numpy as np
import pytest

from tests.support.phone import Phone, said, stereo
from tests.support.service import Service, gone, upgrade

pytestmark = pytest.mark.slow


def status(service: Service, path: str) -> int:
    """The answer to a probe."""
    try:
        with urllib.request.urlopen(service.url.replace("ws:", "http:").rstrip("/") + path, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def live_calls(service: Service, count: int) -> list[Phone]:
    phones = [Phone(service.url, f"call{number}") for number in range(count)]
    for number, phone in enumerate(phones):
        phone.start()
        phone.talk(number, 0.6)
    service.until(lambda calls: len(calls) == count)
    return phones


@pytest.mark.fault(35)
@pytest.mark.parametrize("workers", [1, 2])
def test_after_sigterm_twenty_live_calls_lose_nothing_and_the_process_ends_with_the_last(tmp_path, workers):
    with Service(tmp_path, "--finish", "2h", workers=workers) as service:
        phones = live_calls(service, 20)
        assert status(service, "/readyz") == 200
        service.process.send_signal(signal.SIGTERM)
        service.heard("finish_requested")
        for _ in range(2 * workers):  # any worker may answer, and each knows with its next slot
            while status(service, "/readyz") != 503 or upgrade(service.url) != b"503":
                pass
        assert status(service, "/healthz") == 200
        for number, phone in enumerate(phones):
            phone.talk(number, 0.6)
            phone.stop()
            phone.hang_up()
        assert service.ended() == 0
    assert [event["reason"] for event in service.named("flow_closed")] == ["stop"] * 20
    for number in range(20):
        assert np.array_equal(stereo(tmp_path / f"call{number}.wav"), np.concatenate([said(number, 0.6)] * 2))
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.fault(35)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_the_calls_in_order(tmp_path, workers):
    with Service(tmp_path, "--finish", "2h", workers=workers) as service:
        live_calls(service, 3)
        service.process.send_signal(signal.SIGTERM)
        service.heard("finish_requested")
        service.process.send_signal(signal.SIGTERM)
        assert service.ended() == 0
    assert service.named("stop_requested")
    assert {event["reason"] for event in service.named("flow_closed")} == {"stopping"}
    assert len(list(tmp_path.glob("call*.wav"))) == 3


def test_a_worker_that_dies_while_calls_finish_leaves_whole_files(tmp_path):
    with Service(tmp_path, "--finish", "2h") as service:
        phones = live_calls(service, 8)
        service.until_recorded(tmp_path, 8)
        killed = {call["call_id"] for call in service.calls() if call["worker"] == 1}
        service.process.send_signal(signal.SIGTERM)
        service.heard("finish_requested")
        os.kill(service.pids()[0], signal.SIGKILL)
        service.heard("file_repaired", len(killed))  # while the calls of the other worker go on
        for number, phone in enumerate(phones):
            if f"call{number}" not in killed:
                phone.stop()
                phone.hang_up()
        assert service.ended() == (1 if killed else 0)
    assert len(list(tmp_path.glob("call*.wav"))) == 8
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("workers", [1, 2])
def test_calls_that_last_longer_than_finish_are_ended_in_order(tmp_path, workers):
    with Service(tmp_path, "--finish", "100ms", workers=workers) as service:
        live_calls(service, 2)
        assert service.stop() == 0
    assert {event["reason"] for event in service.named("flow_closed")} == {"stopping"}


def test_a_worker_that_gets_the_service_managers_sigterm_too_cuts_no_call(tmp_path):
    with Service(tmp_path, "--finish", "2h") as service:
        (phone,) = live_calls(service, 1)
        pids = service.pids()
        service.process.send_signal(signal.SIGTERM)
        service.heard("finish_requested")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it had no call
                os.kill(pid, signal.SIGTERM)
        phone.talk(0, 0.6)
        phone.stop()
        phone.hang_up()
        assert service.ended() == 0
        assert gone(pids)
    assert np.array_equal(stereo(tmp_path / "call0.wav"), np.concatenate([said(0, 0.6)] * 2))
