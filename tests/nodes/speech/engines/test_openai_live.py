"""Calls of a graph with the engine `openai` and the fake: a service costs words at most, and all are marked."""

import json

import numpy as np
import pytest

from nodes.audio import g711
from nodes.speech.local import utterance_driver
from tests.nodes.speech.engines.loud_voices import LoudVoices
from tests.support.live import PATIENCE, Live, until
from tests.support.phone import MESSAGE, Phone, stereo
from tools.fake_openai import FileService
from tools.fake_openai.rules import KEY, Refused

pytest.importorskip("httpx")
pytestmark = pytest.mark.slow
GRAPH = """
flowcore: 1
nodes:
  call: {use: ringcx, with: {port: 0}}
  ordered: {use: reorder, from: call}
  voices: {use: decode_mulaw, from: ordered}
  wav: {use: wav_file, from: voices, with: {path: "FOLDER/{call_id}.wav"}}
  words: {use: transcribe, from: voices, with: {engine: {use: openai, url: "URL"}, interim: 0s}}
  text: {use: transcript_file, from: words, with: {path: "FOLDER/{call_id}.jsonl"}}
"""
TURN = g711.encode(np.concatenate([np.full(8000, 4000, np.int16), np.zeros(8000, np.int16)])).tobytes()
SOUND = TURN * 3


@pytest.fixture(autouse=True)
def _loud_voices(monkeypatch):
    monkeypatch.setattr(utterance_driver, "VoiceModel", LoudVoices)
    monkeypatch.setattr("nodes.transforms.transcribe.FLUSH_TIMEOUT", PATIENCE)  # seconds that a busy machine may need
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def graph(folder, service, calls):
    path = folder / "graph.yaml"
    path.write_text(GRAPH.replace("FOLDER", str(folder)).replace("URL", service.url))
    return Live(str(path.with_suffix("")), calls=calls, drain=PATIENCE)


def talk(live, call):
    phone = Phone(live.url, call)
    phone.start()
    phone.say(*(phone.sender.media("agent", SOUND[at : at + MESSAGE]) for at in range(0, len(SOUND), MESSAGE)))
    return phone


def hang_up(phone):
    phone.stop()
    phone.hang_up()


def texts(folder, call):
    return [json.loads(line) for line in (folder / f"{call}.jsonl").read_text().splitlines()]


def recorded(folder, call):
    expected = g711.decode(np.frombuffer(SOUND, np.uint8))
    return np.array_equal(stereo(folder / f"{call}.wav")[:, 0], expected)


def test_each_utterance_of_two_calls_has_its_words(tmp_path):
    with FileService(lambda samples: "hello") as service, graph(tmp_path, service, calls=2) as live:
        for phone in [talk(live, "one"), talk(live, "two")]:
            hang_up(phone)
    for call in ("one", "two"):
        assert [text["text"] for text in texts(tmp_path, call)] == ["hello"] * 3
        assert recorded(tmp_path, call)
    assert live.dropped() == {}


@pytest.mark.fault(73)
def test_a_wrong_key_ends_the_transcription_of_a_call_with_one_line_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-key-98765")
    with FileService(lambda samples: "hello") as service, graph(tmp_path, service, calls=1) as live:
        phone = talk(live, "one")
        until(lambda: live.named("node_failed"))
        hang_up(phone)
    (failed,) = live.named("node_failed")
    assert failed.node == "words"
    assert str(failed.data["cause"]).endswith("refuses the key in OPENAI_API_KEY")
    assert texts(tmp_path, "one")[0]["gap"] == "untranscribed"
    assert recorded(tmp_path, "one")


@pytest.mark.fault(73)
def test_a_service_that_is_down_costs_words_that_are_marked_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("nodes.speech.engines.openai_requests.FIRST_PAUSE", PATIENCE)  # longer than an utterance waits
    with FileService(lambda samples: "hello") as service, graph(tmp_path, service, calls=1) as live:
        service.faults.extend([Refused(503, "The engine is currently overloaded.", type="server_error")] * 1000)
        hang_up(talk(live, "one"))
    found = texts(tmp_path, "one")
    assert [(text["text"], text.get("gap")) for text in found] == [("", "untranscribed")] * 3
    assert live.dropped() == {"decode_failed": 3}
    assert {str(event.data["cause"]).partition(": ")[2] for event in live.named("decode_failed")} == {
        "503: The engine is currently overloaded."
    }
    assert recorded(tmp_path, "one")
