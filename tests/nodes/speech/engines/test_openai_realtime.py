"""The engine `openai_realtime` against the fake: its session, its errors, and what it sends."""

import socket
import threading

import numpy as np
import pytest
from pydantic import ValidationError

from flowcore.speech import Expired, OverQuota, Rejected, Unavailable
from nodes.speech.engines import openai_realtime, openai_session
from nodes.speech.engines.openai_realtime import OpenAIRealtime
from tests.nodes.speech.engines.loud_voices import LoudVoices
from tests.support.live import PATIENCE
from tests.support.ports import free_port
from tests.support.speech_services import Talk
from tools.fake_google import mulaw
from tools.fake_openai import RealtimeService
from tools.fake_openai.rules import KEY

pytestmark = pytest.mark.slow
SENTENCE = mulaw([(1, 1.0, 1.3), (2, 1.3, 1.6), (3, 1.7, 2.0)], 3.0)


@pytest.fixture
def engine(monkeypatch):
    """Makes opened engines; closes them at the end."""
    monkeypatch.setattr(openai_realtime, "VoiceModel", LoudVoices)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    engines = []

    def make(url, **config):
        engines.append(OpenAIRealtime(OpenAIRealtime.Config(url=url, **config)))
        engines[-1].open()
        return engines[-1]

    yield make
    for each in engines:
        each.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "openai"]


def test_words_come_while_they_are_spoken_and_the_turn_at_its_pause(engine):
    with RealtimeService() as service:
        talk = Talk(engine(service.url)).say(SENTENCE)
        assert talk.end() is None
    texts = [(result.text, result.final) for result in talk.results]
    assert texts == [("w1", False), ("w1 w2", False), ("w1 w2 w3", False), ("w1 w2 w3", True)]
    final = talk.results[-1]
    assert (final.start, final.end) == (pytest.approx(1.0, abs=0.05), pytest.approx(2.0, abs=0.05))


def test_silence_is_not_sent_and_the_driver_learns_that_nothing_was_said(engine):
    with RealtimeService() as service:
        talk = Talk(engine(service.url)).say(mulaw([], 25.0))
        assert talk.end() is None
        assert [(result.text, result.final) for result in talk.results] == [("", True)] * 2
        assert [session.seconds for session in service.sessions] == [0.0]


def test_the_session_is_configured_as_documented(engine):
    with RealtimeService() as service:
        talker = engine(service.url, language="de", prompt="Erika Mustermann")
        Talk(talker, phrases=("Acme", "X200")).say(SENTENCE).end()
    assert service.sessions[0].session == {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {
                    "model": "gpt-live-transcribe",
                    "language": "de",
                    "prompt": "Erika Mustermann Acme, X200",
                },
                "turn_detection": None,
            }
        },
    }


def test_a_server_that_takes_no_mulaw_gets_24_khz(engine):
    loud = np.full(24000, 5000, "<i2").tobytes()
    with RealtimeService() as service:
        talk = Talk(engine(service.url, encoding="s16"), "s16", 24000).say(loud + bytes(2 * 24000), piece=4800)
        assert talk.end() is None
    assert service.sessions[0].session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert 1.0 <= service.sessions[0].seconds <= 1.7  # the voice, and the silence that belongs to its turn
    assert service.sessions[0].errors == []


def test_a_long_turn_without_a_pause_is_committed_after_a_minute(engine):
    words = [(n, n * 0.3, n * 0.3 + 0.3) for n in range(1, 220)]
    with RealtimeService() as service:
        talk = Talk(engine(service.url)).say(mulaw(words, 67.0))
        assert talk.end() is None
    assert len(talk.finals) == 2
    assert len(service.sessions[0].turns) == 2


@pytest.mark.parametrize(
    ("config", "error", "text"),
    [
        ({"model": "gpt-9"}, Rejected, "The model `gpt-9` does not exist or you do not have access to it"),
        ({"key_variable": "OTHER"}, Rejected, "refuses the key in OTHER$"),
    ],
)
def test_what_will_never_work_is_rejected_with_one_line_without_the_key(engine, monkeypatch, config, error, text):
    monkeypatch.setenv("OTHER", "sk-other-9876543210")
    with RealtimeService() as service, pytest.raises(error, match=text) as raised:
        raise Talk(engine(service.url, **config)).say(SENTENCE).end()
    assert "3210" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("busy", OverQuota), ("broken", Unavailable), ("drop", Unavailable), ("failed", Unavailable)],
)
def test_temporary_faults_are_tried_again_by_the_driver(engine, fault, error):
    with RealtimeService(fault=lambda number: fault) as service:
        assert isinstance(Talk(engine(service.url)).say(SENTENCE).rest(), error)


def test_a_session_that_is_too_old_has_expired(engine):
    now = [0.0]
    with RealtimeService(clock=lambda: now[0]) as service:
        talk = Talk(engine(service.url)).say(SENTENCE)
        while not talk.finals:
            talk.results.append(talk.heard.get(timeout=PATIENCE))
        now[0] = 3600.0
        assert isinstance(error := talk.rest(), Expired)
    assert "maximum duration of 60 minutes" in str(error)


def test_an_unreachable_host_is_named(engine):
    error = Talk(engine(f"http://127.0.0.1:{free_port()}/v1")).say(SENTENCE).rest()
    assert isinstance(error, Unavailable)
    assert str(error).startswith("127.0.0.1:")
    assert "cannot be used" in str(error)


def test_a_host_that_does_not_answer_is_given_up(engine, monkeypatch):
    monkeypatch.setattr(openai_session, "OPEN_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = Talk(engine(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")).say(SENTENCE).rest()
    assert isinstance(error, Unavailable)
    assert str(error).endswith("gave no answer within 0.1 s")


def test_a_host_that_takes_no_audio_is_given_up(engine, monkeypatch):
    monkeypatch.setattr(openai_session, "MAX_UNSENT_BYTES", 5000)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = Talk(engine(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")).say(SENTENCE).rest()
    assert str(error).endswith("takes no more audio")


def test_a_prompt_that_comes_back_for_a_noise_is_no_text(engine):
    prompt = "Acme Router X200 and Acme Switch for Erika Mustermann"
    noise = b"\xff" * 8000 + bytes([0x80]) * 2400 + b"\xff" * 16000  # loud, and no word
    with RealtimeService() as service:
        talk = Talk(engine(service.url, prompt=prompt)).say(noise + SENTENCE)
        assert talk.end() is None
        assert service.sessions[0].turns == [prompt, "w1 w2 w3"]
    assert talk.finals == ["w1 w2 w3"]


def test_without_a_key_the_config_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ValidationError, match=r"set OPENAI_API_KEY in the environment to the key of api\.openai\.com"):
        OpenAIRealtime.Config()
