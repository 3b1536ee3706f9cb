"""graphs/google.yaml with real sockets on both sides and the stand-in for Google."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nodes.speech.engines.google
from nodes.audio import g711
from tests.support.live import PATIENCE, ROOT, Live, until
from tests.support.phone import MESSAGE, Phone, stereo
from tools.fake_google import FakeGoogle, Limits, StreamFault, mulaw

pytestmark = pytest.mark.slow

QUICK = {2: Limits(300, burst=60)}  # a call that is not held to real time may say all at once


def sentences(first, count=6):
    """Sound with words of 0.2 s, three in a sentence, half a second between sentences; and the words."""
    words = [
        (first + n, round(0.1 + n * 0.2 + n // 3 * 0.5, 3), round(0.3 + n * 0.2 + n // 3 * 0.5, 3))
        for n in range(count)
    ]
    sound = mulaw(words, words[-1][2])
    return sound + b"\xff" * (-len(sound) % MESSAGE), [f"w{number}" for number, _, _ in words]


def talk(phone, agent, customer):
    voices = {"agent": agent, "customer": customer}
    places = range(0, len(agent), MESSAGE)
    phone.say(*(phone.sender.media(track, voices[track][at : at + MESSAGE]) for at in places for track in voices))


def graph(folder, google, **options):
    settings = [
        f"wav.path={folder}/{{call_id}}.wav",
        f"text.path={folder}/{{call_id}}.jsonl",
        f"words.engine.endpoint={google.address}",
        "words.engine.plaintext=true",
    ]
    return Live("google", settings, **options)


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def said(told, track):
    return [word["text"] for line in told if line["track"] == track and line["final"] for word in line.get("words", [])]


def recorded(path, agent, customer):
    expected = np.stack([g711.decode(np.frombuffer(sound, np.uint8)) for sound in (agent, customer)], axis=1)
    return np.array_equal(stereo(path), expected)


@pytest.fixture
def patient(monkeypatch):
    """Nobody gives up a stream on which a busy machine says nothing, or is late with the last word; Google's limits."""
    for limit in ("HOLD_TIMEOUT", "DRAIN_TIMEOUT"):
        monkeypatch.setattr(f"nodes.speech.cloud.streaming_track.{limit}", PATIENCE)
    monkeypatch.setattr("nodes.transforms.transcribe.FLUSH_TIMEOUT", PATIENCE)
    usual = nodes.speech.engines.google.Limits
    longer = lambda *formats, idle, **more: usual(*formats, idle=2 * PATIENCE, **more)  # noqa: E731
    monkeypatch.setattr("nodes.speech.engines.google.Limits", longer)
    return {2: Limits(300, idle=2 * PATIENCE, burst=60)}


@pytest.mark.slow
def test_fifty_calls_at_once_a_hundred_streams_the_last_word_after_the_stop(tmp_path, patient):
    calls = 50
    with (
        FakeGoogle(limits=patient, quota=2 * calls) as google,
        graph(tmp_path, google, calls=calls, drain=PATIENCE) as live,
    ):
        phones = []
        for number in range(calls):
            agent, words = sentences(20 * number)
            customer, others = sentences(20 * number + 10)
            phone = Phone(live.url, f"call{number}")
            phone.start()
            phones.append((phone, agent, customer, words, others))
            talk(phone, agent, customer)
        until(lambda: google.live == 2 * calls)
        for phone, *_ in phones:
            phone.stop()
            phone.hang_up()
    assert google.peak == 2 * calls
    for number, (_, agent, customer, words, others) in enumerate(phones):
        told = lines(tmp_path / f"call{number}.jsonl")
        assert said(told, "agent") == words
        assert said(told, "customer") == others
        assert recorded(tmp_path / f"call{number}.wav", agent, customer)
    assert live.dropped() == {}


@pytest.mark.slow
def test_a_google_that_hangs_for_ever_is_left_at_the_end_and_costs_the_recording_nothing(tmp_path):
    agent, _ = sentences(0)
    with (
        FakeGoogle(limits=QUICK, fault=lambda number: StreamFault("hang")) as google,
        graph(tmp_path, google, calls=1, drain=3.0) as live,  # which is enough for the recording, also in a stall
    ):
        phone = Phone(live.url)
        phone.start()
        talk(phone, agent, agent)
        until(lambda: google.live == 2)
        phone.stop()
        phone.hang_up()
    assert recorded(tmp_path / "one.wav", agent, agent)
    assert live.named("node_hung")[0].node == "words"
    assert google.live == 0


def test_a_refusal_for_good_ends_the_transcription_loudly_and_nothing_else(tmp_path):
    agent, _ = sentences(0)
    refusal = StreamFault("PERMISSION_DENIED", 0.0, "Cloud Speech-to-Text API has not been used in project 1 before")
    with FakeGoogle(fault=lambda number: refusal) as google, graph(tmp_path, google, calls=1) as live:
        phone = Phone(live.url)
        phone.start()
        talk(phone, agent, agent)
        until(lambda: live.named("node_failed"))
        phone.stop()
        phone.hang_up()
    assert [event.node for event in live.named("node_failed")] == ["words"]
    assert "has not been used in project 1 before" in str(live.named("node_failed")[0].data["cause"])
    assert recorded(tmp_path / "one.wav", agent, agent)


def flowcore(folder, *words, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE_", "CLOUDSDK_"))}
    return subprocess.run(
        [str(Path(sys.executable).with_name("flowcore")), *words],
        cwd=folder,
        env={**clean, "HOME": str(folder), "NO_GCE_CHECK": "true", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_without_credentials_one_line_tells_what_to_do_and_no_call_is_taken(tmp_path):
    done = flowcore(tmp_path, "run", str(ROOT / "graphs" / "google.yaml"), "--set", "call.port=0")
    assert done.returncode == 1
    assert "listener_opened" not in done.stdout + done.stderr
    assert done.stderr.splitlines() == [
        "error: words.engine.credentials: there are no credentials for Google: name a service account's key file as "
        "credentials or in GOOGLE_APPLICATION_CREDENTIALS, or run  gcloud auth application-default login"
    ]
