"""`flowcore tap` on a call that runs."""

import gc
import json
import signal
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.support.asking import call, ended_by_sigterm, hub
from tests.support.live import PATIENCE, Live, until
from tests.support.phone import said
from tests.support.watching import Talk, stage
from tools.card import Card

pytestmark = pytest.mark.slow


@pytest.fixture
def live(tmp_path, monkeypatch):
    """graphs/monitor.yaml, which records nothing, with nobody at the loudspeaker."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")
    with Live("monitor", ["sound.device=pulse", "sound.select=off"]) as live, hub(live):
        yield live


def tapped(live, flowcore, *arguments, seconds=1.0):
    """What the command says of a call that talks once somebody listens, and then ends."""
    phone = call(live, "one")
    (flow,) = live.engine.flows.values()
    put = flow.runs["voices"].emits[0]

    def talk():
        until(lambda: flow.runs["voices"].emits[0] is not put)
        phone.talk(1, seconds)
        phone.stop()
        phone.hang_up()

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        return flowcore("tap", "one", *arguments)
    finally:
        thread.join()


def test_wav_is_the_call_in_stereo(live, flowcore, tmp_path):
    path = tmp_path / "out.wav"
    done = tapped(live, flowcore, "--wav", path)
    assert (done.code, done.out, done.err) == (0, f"{path}\n", "")
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8000)
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert (frames == said(1, 1.0)).all()


def test_an_unwritable_wav_is_reported_in_one_line(live, flowcore, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    gc.collect()  # what earlier tests left
    destructors: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", destructors.append)
    done = tapped(live, flowcore, "--wav", tmp_path / "file" / "out.wav")
    gc.collect()
    assert (done.code, done.err) == (1, f"error: Not a directory: {tmp_path}/file/out.wav\n")
    assert not destructors


def test_json_has_a_line_for_each_chunk(live, flowcore):
    done = tapped(live, flowcore, "voices", "--json")
    assert (done.code, done.err) == (0, "")
    lines = [json.loads(line) for line in done.out.splitlines()]
    of_agent = [line for line in lines if line["track"] == "agent"]
    assert [line["end"] for line in of_agent[:-1]] == [line["start"] for line in of_agent[1:]]
    assert of_agent[-1]["end"] == 1.0
    assert all(-60 < line["rms_db"] <= line["peak_db"] <= 0 for line in lines)


def test_json_on_a_text_node_prints_every_text(flowcore, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    spoken = [("agent", 1.0, "hel", False), ("agent", 1.0, "hello", True), ("customer", 2.5, "good morning", True)]
    with stage(tmp_path) as live, hub(live):
        talk = Talk(live.url, "one")
        until(lambda: live.engine.flows)
        (flow,) = live.engine.flows.values()
        put = flow.runs["words"].emits[0]

        def speak():
            until(lambda: flow.runs["words"].emits[0] is not put)
            for track, start, words, final in spoken:
                talk.words(track, start, words, final=final)
            talk.stop()
            talk.hang_up()

        thread = threading.Thread(target=speak)
        thread.start()
        done = flowcore("tap", "one", "words", "--json")
        thread.join()
    assert (done.code, done.err) == (0, "")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [(line["track"], line["start"], line["text"], line["final"]) for line in lines] == spoken
    assert [line["end"] for line in lines] == [2.0, 2.0, 3.5]


def test_meter_names_the_call_and_both_parties(live, flowcore):
    done = tapped(live, flowcore)
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["one", "voices", "00:01.0"] in lines
    assert {line[0] for line in lines} >= {"agent", "customer"}


@pytest.mark.parametrize("arguments", [["--json"], ["--wav"], []])
def test_sigterm_ends_tap_without_a_traceback(live, tmp_path, arguments):
    call(live, "one")
    (flow,) = live.engine.flows.values()
    put = flow.runs["voices"].emits[0]
    options = [*arguments, str(tmp_path / "out.wav")] if "--wav" in arguments else arguments

    def begun():
        return flow.runs["voices"].emits[0] is not put

    assert ended_by_sigterm("tap", "one", *options, begun=begun) == (128 + signal.SIGTERM, "")


def test_play_is_heard(live, flowcore, monkeypatch):
    monkeypatch.setattr("nodes.sound.tap.DRAIN_TIMEOUT", PATIENCE)  # a busy machine may open its card after the call
    with Card() as card:
        for name, value in card.added.items():
            monkeypatch.setenv(name, value)
        recorder = card.recorder()
        done = tapped(live, flowcore, "--play", seconds=0.4)
        assert (done.code, done.err.splitlines()[1:]) == (0, [])
        until(lambda: np.count_nonzero(recorder.heard) > 1000)
        recorder.stop()
    assert done.err.startswith("playing on ")


@pytest.mark.skipif(Path("/dev/snd").exists(), reason="this machine has a sound card")
def test_play_without_a_card_says_what_works_without(live, flowcore):
    done = tapped(live, flowcore, "--play")
    assert done.code == 1
    assert "there is no sound output" in done.err
    assert "--meter shows levels without a card" in done.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["one", "--play", "--json"], "give one of --play, --wav, --meter and --json"),
        (["two"], "there is no live call 'two'"),
        (["one", "vices"], "there is no node 'vices': name one of call, ordered, voices"),
    ],
)
def test_wrong_arguments_are_reported(live, flowcore, arguments, why):
    call(live, "one")
    done = flowcore("tap", *arguments)
    assert done.code == 2
    assert why in " ".join(done.err.split())
