"""Calls on a real sound system without a loudspeaker: its output is recorded and compared."""

import os
import sys
import threading
import time

import numpy as np
import pytest
from pydantic import ValidationError

import nodes.sound.card
from flowcore import CannotStart
from flowcore.testing import NodeHarness, joined, tone
from nodes.sinks.monitor import Monitor
from nodes.sound.speaker import Speaker
from tests.support.live import Live, until
from tests.support.phone import Phone
from tools.card import Card

pytestmark = pytest.mark.slow

CHUNK = 320  # 20 ms


@pytest.fixture
def card(monkeypatch):
    with Card() as card:
        for name, value in card.added.items():
            monkeypatch.setenv(name, value)
        yield card


@pytest.fixture
def no_card(monkeypatch, tmp_path):
    """As on a server: a sound system is installed, but there is no card."""
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")


class ListReport:
    def __init__(self):
        self.events = []

    def event(self, event, **data):
        self.events.append((event, data))

    def names(self):
        return [name for name, _ in self.events]


@pytest.fixture
def no_clock(monkeypatch):
    """On a loaded machine the pace of a test is too uneven to be compared with the card's clock."""
    monkeypatch.setattr("nodes.sound.playout_buffer.WAIT_TOLERANCE", 1.0)


@pytest.fixture
def speaker():
    opened = Speaker("pulse", 16000)
    opened.now = time.monotonic
    opened.report = ListReport()
    yield opened
    opened.close()


def voice(seconds, seed=1):
    """Noise as loud as speech, in chunks of 20 ms at 16 kHz; no two stretches are equal."""
    samples = np.random.default_rng(seed).integers(-8000, 8000, round(seconds * 16000)).astype(np.int16)
    blank = tone("20ms", rate=16000)[0]
    return [blank.replace(samples=samples[at : at + CHUNK], start=at) for at in range(0, len(samples), CHUNK)]


def say(harness, chunks):
    """Push chunks at the pace of a call; return the time of the first chunk."""
    pace, began = threading.Event(), time.monotonic()
    for number, chunk in enumerate(chunks):
        pace.wait(max(0.0, began + number * 0.02 - time.monotonic()))
        harness.push(chunk)
    return began


def play(speaker, chunks, **config):
    harness = NodeHarness(Monitor, config, resource=speaker)
    harness.node.now = time.monotonic
    began = say(harness, chunks)
    return harness, began


def found(heard, samples):
    """Return the position of ``samples`` in the left channel, None where they are missing."""
    left = heard[:, 0]
    for at in np.flatnonzero(left[: len(left) - len(samples)] == samples[0]):
        if (left[at : at + len(samples)] == samples).all():
            return int(at)
    return None


def test_the_card_plays_every_sample_as_it_came(card, speaker, no_clock):
    """At least once in ten attempts: a card does not wait, so a stalled machine is audible."""
    speaker.open()
    until(lambda: speaker.playing)
    recorder = card.recorder()
    for seed in range(10):
        chunks = voice(2.0, seed)
        harness = play(speaker, chunks, delay="200ms")[0].end()
        until(lambda: speaker.mixer.idle)
        whole = joined(chunks)[100:-100]  # the first 5 ms are a ramp, the last too
        end = len(recorder.heard) + 16000
        until(lambda whole=whole, end=end: found(recorder.heard, whole) is not None or len(recorder.heard) > end)
        if found(recorder.heard, whole) is not None:
            break
    heard = recorder.stop()
    assert found(heard, whole) is not None
    assert (heard[:, 0] == heard[:, 1]).all()
    assert not harness.dropped
    assert speaker.report.names() == ["speaker_opened"]


def test_latency_from_the_node_to_the_card(card, speaker, no_clock, record_property):
    speaker.open()
    until(lambda: speaker.playing)
    recorder = card.recorder()
    chunks = voice(1.5)
    harness, began = play(speaker, chunks)
    buffer = harness.node._call.buffers["agent"]
    until(lambda: not buffer.playing)
    harness.end()
    stamps = list(recorder.stamps)
    heard = recorder.stop()
    late = []
    for number, chunk in enumerate(chunks[5:-5], 5):
        at = found(heard, chunk.samples)
        if at is not None:
            came = next(when for frames, when in stamps if frames >= at + CHUNK)
            late.append(came - began - number * 0.02 - 0.02)
    assert len(late) > 20
    middle, most = np.median(late) * 1000, max(late) * 1000
    record_property("figure", f"monitor: from the node to the card's output {middle:.0f} ms, at most {most:.0f} ms")


@pytest.mark.fault(46)
def test_an_unplugged_card_costs_the_call_nothing_and_plays_again_later(card):
    with Live("monitor", ["sound.select=all", "sound.device=pulse"]) as live:
        until(lambda: live.named("speaker_opened"))
        phone = Phone(live.url)
        phone.start()
        talking = threading.Event()
        stop = threading.Event()

        def talk():
            while not stop.is_set():
                phone.talk(1, 0.02)
                talking.wait(0.02)

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            (speaker,) = [one for one in live.engine.resources() if isinstance(one, Speaker)]
            until(lambda: any(buffer.playing for call in speaker.mixer._calls for buffer in call.buffers.values()))
            card.pull_out()
            until(lambda: live.named("speaker_lost"))
            until(lambda: any(flow.losses().seconds > 0.5 for flow in live.engine.flows.values()))
            card.plug_in()
            until(lambda: live.named("speaker_returned"))
            recorder = card.recorder()
            until(lambda: np.count_nonzero(recorder.heard) > 8000)
            recorder.stop()
        finally:
            stop.set()
            thread.join()
        phone.stop()
        phone.hang_up()
    assert [
        len(live.named(name)) for name in ("speaker_opened", "speaker_lost", "speaker_returned", "speaker_missing")
    ] == [1, 1, 1, 0]
    assert not live.named("node_failed")
    assert live.engine.totals.nodes["sound"].dropped["speaker_missing"].seconds > 0.5


def test_without_a_card_one_line_says_so_and_calls_go_on(no_card, monkeypatch):
    monkeypatch.setattr("nodes.sound.speaker.RETRY_INTERVAL", 0.01)
    with Live("monitor", ["sound.device=pulse"], calls=1) as live:
        until(lambda: live.named("speaker_missing"))
        phone = Phone(live.url)
        phone.start()
        phone.talk(1, 2.0)
        phone.stop()
        phone.hang_up()
    (said,) = live.named("speaker_missing")
    assert "flowcore devices" in said.data["advice"]
    assert live.named("flow_closed")[0].data["reason"] == "stop"
    assert set(live.engine.totals.nodes["sound"].dropped) == {"speaker_missing"}


def test_looking_for_a_card_swallows_no_output_of_the_process(no_card, speaker, monkeypatch, capfd):
    monkeypatch.setattr("nodes.sound.speaker.RETRY_INTERVAL", 0.0)
    looks = []

    class Counted(nodes.sound.card.Card):
        def __init__(self, device, rate):
            looks.append(device)
            super().__init__(device, rate)

    monkeypatch.setattr("nodes.sound.speaker.Card", Counted)
    speaker.open()
    until(lambda: looks)
    said = 0
    while len(looks) < 10:
        os.write(2, b"a line\n")
        said += 1
    assert capfd.readouterr().err == "a line\n" * said


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(CannotStart, match=r"PortAudio library not found: run  apt-get install libportaudio2"):
        Speaker("", 16000).open()
    sys.modules.pop("sounddevice", None)


def test_stereo_is_two_parties_and_an_unselected_call_costs_nothing(speaker):
    chunk = tone("20ms", rate=16000)[0]
    both = chunk.replace(samples=np.stack([chunk.samples, chunk.samples // 2], axis=1), track="")
    harness = NodeHarness(Monitor, {"select": "off"}, resource=speaker).push(both)
    assert not harness.node._call.buffers
    speaker.mixer.choose(None)
    harness = NodeHarness(Monitor, {}, resource=speaker).push(both)
    assert sorted(harness.node._call.buffers) == ["agent", "customer"]


def test_audio_that_piles_up_is_dropped_and_counted_and_the_call_never_waits(speaker):
    harness = NodeHarness(Monitor, {}, resource=speaker).push(*voice(10.0)).end()
    assert harness.dropped["speaker_missing"] == pytest.approx(9.5)


def test_all_calls_share_one_card():
    of = lambda **config: Monitor.make_resource(Monitor.Config(**config))  # noqa: E731
    assert of() == of(select="all", volume="-6dB")
    assert of() != of(device="usb")


@pytest.mark.parametrize("wrong", [{"volume": "40dB"}, {"volume": "3"}, {"channels": "left"}, {"select": ""}])
def test_a_wrong_config_is_refused(wrong):
    with pytest.raises(ValidationError):
        Monitor.Config(**wrong)
