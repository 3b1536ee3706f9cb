"""The resource that calls share: real processes, which may be killed during calls."""

import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from flowcore import Config
from flowcore.speech import Decoded, Decoder
from nodes.audio import g711
from nodes.speech.engines.moonshine import Moonshine
from nodes.speech.engines.whisper import Whisper
from nodes.speech.local.utterance_driver import REMOTE_DECODERS, DecoderResource, cores
from tests.support.live import PATIENCE, Live, until
from tests.support.phone import Phone
from tools.voices import telephone


def test_equal_settings_are_one_resource():
    one, other = DecoderResource(Moonshine, None, 2, 60), DecoderResource(Moonshine, None, 2, 60)
    assert one == other
    assert hash(one) == hash(other)
    assert one not in (
        DecoderResource(Whisper, None, 2, 60),
        DecoderResource(Moonshine, None, 1, 60),
        DecoderResource(Moonshine),
    )
    assert DecoderResource(Whisper, Whisper.Config(model="a")) != DecoderResource(Whisper, Whisper.Config(model="b"))


def test_workers_of_one_run_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert cores() == 8
    monkeypatch.setenv("FLOWCORE_WORKERS", "3")
    assert cores() == 2
    monkeypatch.setenv("FLOWCORE_WORKERS", "16")
    assert cores() == 1


class Elsewhere(Decoder[Config]):
    """Asks something outside of this process for the words."""

    remote = True
    opened = 0

    def open(self) -> None:
        Elsewhere.opened += 1

    def decode(self, samples: Any) -> Decoded:
        return Decoded("")

    def close(self) -> None:
        Elsewhere.opened -= 1


@pytest.mark.parametrize(("processes", "threads"), [(0, REMOTE_DECODERS), (3, 3)])
def test_remote_decoders_run_in_threads_of_this_process(processes, threads):
    resource = DecoderResource(Elsewhere, Config(), processes)
    resource.open()
    assert Elsewhere.opened == threads
    assert decoders() == []
    resource.close()
    assert Elsewhere.opened == 0


def decoders() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "nodes.speech.local.decoder_process" in " ".join(child.cmdline())
    ]


# Context is left out while other audio waits, so that with it the text of a call sent at once depends on the load.
WITHOUT_CONTEXT = ["words.enough=0s"]


@pytest.mark.slow
@pytest.mark.model
def test_decoders_killed_in_the_middle_cost_no_word_and_no_sample(tmp_path, monkeypatch):
    monkeypatch.setattr("nodes.transforms.transcribe.FLUSH_TIMEOUT", PATIENCE)  # seconds that a busy machine may need
    settings = [f"wav.path={tmp_path}/{{flow}}.wav", f"text.path={tmp_path}/{{flow}}.jsonl"]
    settings += WITHOUT_CONTEXT
    whole = [call(tmp_path, settings, kill=kill) for kill in (False, True)]
    assert whole[0] == whole[1]
    assert len(whole[0][0]) >= 3


def call(folder: Path, settings: list[str], *, kill: bool) -> tuple[list[Any], bytes]:
    """One call, whose decoders are killed while they have work; its texts and its recording."""
    recordings = {"agent": "two_cities.wav", "customer": "beckett.wav"}
    wire = {track: g711.encode(telephone(name)).tobytes() for track, name in recordings.items()}
    length = min(map(len, wire.values())) // 160 * 160  # ten seconds
    with Live("transcribe", settings, calls=1, drain=PATIENCE) as live:
        first = decoders()
        assert len(first) == cores()
        (started,) = live.named("decoders_started")
        assert started.data == {"model": Moonshine().model, "processes": cores()}
        phone = Phone(live.url)
        phone.start()
        places = range(0, length, 160)
        phone.say(*(phone.sender.media(track, wire[track][at : at + 160]) for at in places for track in wire))
        if kill:
            until(lambda: any(process.cpu_percent(0.02) > 30 for process in first))
            for process in first:
                process.kill()
        phone.stop()
    assert not decoders()
    assert (len(live.named("decoder_replaced")) > 0) == kill
    lines, recording = next(folder.glob("*.jsonl")), next(folder.glob("*.wav"))
    texts = [json.loads(queue) for queue in lines.read_text().splitlines()]
    sound = recording.read_bytes()
    lines.unlink()
    recording.unlink()
    return sorted((text["track"], text["start"], text["text"]) for text in texts if text["final"]), sound
