"""The card on a PortAudio that exists only in the test."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from nodes.sound import card
from nodes.sound.card import Card, NoCard, PortAudio, outputs


class PortAudioError(Exception):
    """The error of the module `sounddevice`."""


class Stream:
    latency = 0.08

    def __init__(self, **options):
        self.options, self.written, self.write_available, self.late = options, [], 100, False
        self.error = None

    def start(self):
        pass

    def write(self, data):
        if self.error:
            raise self.error
        self.written.append(bytes(data))
        return self.late

    def close(self, ignore_errors):
        self.written.append("closed")


DEVICES = [
    {"name": "mic", "hostapi": 0, "max_output_channels": 0, "default_samplerate": 44100.0, "index": 0},
    {"name": "mono", "hostapi": 0, "max_output_channels": 1, "default_samplerate": 8000.0, "index": 1},
    {"name": "hall", "hostapi": 1, "max_output_channels": 8, "default_samplerate": 48000.0, "index": 2},
]


class Module:
    """The part of `sounddevice` that the card uses."""

    PortAudioError = PortAudioError
    RawOutputStream = Stream

    def __init__(self):
        self.default = SimpleNamespace(device=(0, 2))
        self.looks = 0
        self._lib = SimpleNamespace(Pa_Terminate=lambda: None, Pa_Initialize=lambda: 0)

    def _check(self, error, message):
        self.looks += 1

    def query_hostapis(self):
        return [{"name": "ALSA"}, {"name": "Pulse"}]

    def query_devices(self, device=None, kind=None):
        if kind is None:
            return DEVICES
        if device is None:
            return DEVICES[self.default.device[1]]
        found = [one for one in DEVICES if device in (one["name"], one["index"])]
        if not found:
            raise ValueError(f"No output device matching {device!r}")
        return found[0]


@pytest.fixture
def module(monkeypatch):
    module = Module()
    monkeypatch.setattr(PortAudio, "load", lambda: module)
    monkeypatch.setattr(PortAudio, "_lock", threading.Lock())
    monkeypatch.setattr(PortAudio, "_streams", 0)
    return module


def test_outputs_are_the_devices_that_play(module):
    assert outputs() == [
        {"name": "mono", "through": "ALSA", "channels": 1, "rate": 8000, "default": False},
        {"name": "hall", "through": "Pulse", "channels": 8, "rate": 48000, "default": True},
    ]


@pytest.mark.parametrize(("device", "name", "channels"), [("", "hall", 2), ("mono", "mono", 1), ("1", "mono", 1)])
def test_a_card_is_the_default_or_one_by_name_or_index_and_begins_full(module, device, name, channels):
    opened = Card(device, 16000)
    assert (opened.name, opened.channels, opened.latency) == (name, channels, 0.08)
    assert opened._stream.options["blocksize"] == 160
    assert opened._stream.written == [bytes(100 * channels * 2)]
    opened.close()


def test_stereo_blocks_are_played_as_they_are_and_mixed_for_one_channel(module):
    block = np.array([[1000, 3000]] * 160, np.int16)
    for device, expected in (("hall", block), ("mono", np.full(160, 2000, np.int16))):
        opened = Card(device, 16000)
        assert not opened.write(block)
        assert opened._stream.written[-1] == expected.tobytes()
        opened.close()


def test_a_late_block_is_reported_and_the_card_filled_again(module):
    opened = Card("", 16000)
    opened._stream.late = True
    assert opened.write(np.zeros((160, 2), np.int16))
    assert opened._stream.written[-1] == bytes(400)
    opened._stream.write_available = 0
    before = len(opened._stream.written)
    opened.write(np.zeros((160, 2), np.int16))
    assert len(opened._stream.written) == before + 1  # there was no room to fill
    opened.close()


def test_a_lost_card_says_why(module):
    opened = Card("", 16000)
    opened._stream.error = PortAudioError("Unanticipated host error")
    with pytest.raises(NoCard, match=r"^the card is gone \(Unanticipated host error\)$"):
        opened.write(np.zeros((160, 2), np.int16))
    opened.close()


def test_a_device_that_does_not_exist_is_no_card(module):
    with pytest.raises(NoCard, match="No output device matching 'kitchen'"):
        Card("kitchen", 16000)
    module.default.device = (0, -1)
    with pytest.raises(NoCard, match="there is no sound output, or no sound server for it"):
        Card("", 16000)


def test_devices_are_looked_for_anew_only_while_no_stream_is_open(module):
    outputs()
    opened = Card("", 16000)
    assert module.looks == 2
    outputs()
    assert module.looks == 2
    opened.close()
    outputs()
    assert module.looks == 3


def test_the_cause_is_the_text_of_portaudios_error_without_its_number():
    assert card._plain(PortAudioError("Device unavailable", -9985)) == "Device unavailable"
