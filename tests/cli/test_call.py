"""`flowcore call`: an operator ends, pauses and mutes a live call, whichever worker holds it."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import numpy as np
import pytest

from tests.support.phone import Phone, said, stereo
from tests.support.service import FLOWCORE, Service
from tools.load import frame

pytestmark = pytest.mark.slow
PIECE = 0.6
"""Seconds that a phone talks at a time."""


def command(service: Service, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(FLOWCORE), "call", *arguments, "--control", str(service.control)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, (done.stdout or done.stderr).strip()


def talk(phone: Phone) -> None:
    """Talk, and return when the listener has taken all of it."""
    phone.talk(7, PIECE)
    phone.socket.sendall(frame(b"", opcode=9))
    while (control := phone.socket.recv(2)) != b"\x8a\x00":  # the pong
        assert control == b"\x89\x00"  # a ping: we said nothing for long


@pytest.mark.parametrize("workers", [1, 2])
def test_a_muted_party_is_silent_in_the_recording_for_exactly_its_length_and_the_metadata_say_so(tmp_path, workers):
    with Service(tmp_path, workers=workers) as service:
        phone = Phone(service.url, "one")
        phone.start()
        talk(phone)
        assert command(service, "one", "mute", "customer") == (0, "customer is muted")
        assert command(service, "newest", "mute", "customer") == (0, "customer was muted already")
        assert [(call["muted"], call["paused"]) for call in service.calls() if call["call_id"]] == [
            (["customer"], False)
        ]
        talk(phone)
        assert command(service, "one", "unmute", "customer") == (0, "customer is not muted any more")
        talk(phone)
        assert command(service, "one", "mute", "bot") == (
            2,
            "error: the call has no party 'bot': its parties are agent and customer; pause silences all",
        )
        assert command(service, "one", "end") == (0, "the call ends")
        (closed,) = service.heard("flow_closed")
        received = b"".join(iter(lambda: phone.socket.recv(64), b""))
        assert received.endswith(b"\x88\x02\x03\xe8")  # closed with 1000
        assert command(service, "one", "resume")[0] == 2
        service.stop()
    assert (closed["reason"], closed["lost_ms"]) == ("operator", 0)
    heard, sent = stereo(tmp_path / "one.wav"), np.concatenate([said(7, PIECE)] * 3)
    frames = round(PIECE * 8000)
    sent[frames : 2 * frames, 1] = 0
    assert np.array_equal(heard, sent)
    about = json.loads((tmp_path / "one.wav.json").read_text())
    assert about["complete"]
    assert [span["track"] for span in about["silenced"]] == ["customer"]


@pytest.mark.fault(82)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_paused_call_that_connects_again_is_silent_until_it_is_resumed(tmp_path, workers):
    with Service(tmp_path, workers=workers) as service:
        phone = Phone(service.url, "one")
        phone.start()
        talk(phone)
        assert command(service, "one", "pause") == (0, "the call is paused")
        phone.stop()
        phone.hang_up()
        service.heard("flow_closed")
        for number in range(2, 6):  # some of them in the other worker, where there is one
            again = Phone(service.url, "one")
            again.start()
            again.talk(7, PIECE)
            again.stop()
            again.hang_up()
            service.heard("flow_closed", number)
        service.stop()
    assert np.array_equal(stereo(tmp_path / "one.wav"), said(7, PIECE))
    for number in range(2, 6):
        silent = stereo(tmp_path / f"one-{number}.wav")
        assert len(silent) == round(PIECE * 8000)
        assert not silent.any()
    assert len(service.named("call_silenced")) == 5


def test_a_worker_that_replaces_a_dead_one_knows_of_a_pause(tmp_path):
    with Service(tmp_path) as service:
        phone = Phone(service.url, "one")
        phone.start()
        phone.talk(7, 0.6)
        service.until(lambda calls: len(calls) == 1)
        assert command(service, "one", "pause") == (0, "the call is paused")
        for pid in service.pids():
            os.kill(pid, signal.SIGKILL)
        service.heard("worker_started", 4)
        again = Phone(service.url, "one")
        again.start()
        (call,) = service.until(lambda calls: len(calls) == 1)
        assert call["paused"]
        service.stop()
