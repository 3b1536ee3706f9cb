from datetime import datetime, timedelta

import numpy as np
import pytest

from nodes.sound.mixer import FADE_SECONDS, Call, Choice, Mixer

RATE, BLOCK, DEPTH = 16000, 160, 0.03
BEGAN = datetime.fromisoformat("2026-01-02T03:04:05+00:00")


class Room:
    """A mixer with calls that speak in real time."""

    def __init__(self, choice=Choice()):  # noqa: B008  # it is frozen
        self.choice = choice
        self.mixer = Mixer(RATE)
        self.now = 0.0
        self.calls = []
        self.voices = {}

    def join(self, **voices):
        """Add a call whose parties speak a constant, or a function of the time in samples."""
        number = len(self.calls) + 1
        call = Call(f"flow{number}", f"call{number}", BEGAN + timedelta(seconds=number), self.choice)
        self.calls.append(call)
        self.voices[call] = voices
        self.mixer.join(call)
        return call

    def hear(self, seconds):
        out = []
        for _ in range(round(seconds / 0.01)):
            at = round(self.now * RATE)
            for call, voices in self.voices.items():
                if call.wanted and not call.ended:
                    for track, voice in voices.items():
                        said = voice(np.arange(at, at + BLOCK)) if callable(voice) else np.full(BLOCK, voice)
                        self.mixer.push(call, track, said.astype(np.int16), self.now, DEPTH)
            out.append(self.mixer.block(BLOCK, self.now))
            self.now += 0.01
        return np.concatenate(out)

    def level(self):
        """Return the left and right level of constant voices after all fades."""
        self.hear(1)
        return tuple(float(ear) for ear in self.hear(0.01)[0])


@pytest.mark.parametrize(
    ("channels", "heard"),
    [("mix", (1300, 1300)), ("stereo", (300, 1000)), ("agent", (300, 300)), ("customer", (1000, 1000))],
)
def test_channels_select_parties_and_ears(channels, heard):
    room = Room(Choice(channels=channels))
    room.join(agent=300, customer=1000)
    assert room.level() == heard


def test_a_party_of_another_name_is_in_both_ears():
    room = Room(Choice(channels="stereo"))
    room.join(mix=300)
    assert room.level() == (300, 300)


def test_volume_is_a_factor():
    room = Room(Choice(volume=0.5))
    room.join(agent=300)
    assert room.level() == (150, 150)


def test_the_newest_call_is_heard_and_after_it_the_one_before():
    room = Room()
    room.join(agent=100)
    assert room.level() == (100, 100)
    second = room.join(agent=200)
    assert room.level() == (200, 200)
    room.mixer.leave(second)
    assert room.level() == (100, 100)


def test_all_calls_are_added_and_off_is_silence():
    room = Room(Choice("all"))
    room.join(agent=100)
    room.join(agent=200)
    assert room.level() == (300, 300)
    room.mixer.choose(Choice("off"))
    assert room.level() == (0, 0)
    assert not any(call.wanted for call in room.calls)


@pytest.mark.parametrize("name", ["call1", "flow1"])
def test_one_call_by_its_id_or_flow_whatever_comes_later(name):
    room = Room(Choice(name))
    room.join(agent=100)
    room.join(agent=200)
    assert room.level() == (100, 100)


def test_a_call_in_a_newer_process_is_the_newest():
    told = []
    room = Room()
    room.mixer = Mixer(RATE, told.append)
    room.join(agent=100)
    assert told[-1] == (BEGAN + timedelta(seconds=1)).timestamp()
    room.mixer.newest_elsewhere(told[-1] + 10)
    assert room.level() == (0, 0)
    room.mixer.newest_elsewhere(0.0)
    assert room.level() == (100, 100)


def sine(hertz):
    return lambda n: 8000 * np.sin(2 * np.pi * hertz / RATE * n)


def largest_step(samples):
    return float(np.abs(np.diff(samples, axis=0)).max())


@pytest.mark.parametrize(
    "choice", [Choice("call1"), Choice("all"), Choice("off"), Choice(channels="stereo"), Choice(volume=0.1)]
)
def test_a_change_makes_no_click(choice):
    room = Room()
    room.join(agent=sine(300), customer=sine(200))
    room.join(agent=sine(250), customer=sine(350))
    room.hear(1)
    before = room.hear(0.5)
    room.mixer.choose(choice)
    after = room.hear(0.5)
    steepest = 2 * 8000 * 2 * np.pi * 350 / RATE
    ramps = 4 * 8000 / (FADE_SECONDS * RATE) + 2 * 8000 / (0.005 * RATE)  # of a fade, and of a buffer that starts
    assert largest_step(before) < steepest
    assert largest_step(np.concatenate([before[-1:], after])) < steepest * 1.5 + ramps


def test_a_hard_switch_would_be_found_by_that_test(monkeypatch):
    monkeypatch.setattr("nodes.sound.mixer.FADE_SECONDS", 1e-6)
    monkeypatch.setattr("nodes.sound.playout_buffer.FADE_SECONDS", 2 / RATE)
    with pytest.raises(AssertionError):
        test_a_change_makes_no_click(Choice(channels="stereo", volume=10.0))


def test_buffered_audio_of_an_ended_call_is_played_before_the_call_goes():
    room = Room()
    call = room.join(agent=100)
    room.hear(1)
    room.mixer.leave(call)
    rest = room.hear(0.5)[:, 0]
    assert np.count_nonzero(rest) >= 0.02 * RATE
    assert not rest[-BLOCK:].any()
    assert room.mixer._calls == []


def test_a_word_just_before_the_end_is_played():
    room = Room()
    call = room.join(agent=100)
    room.mixer.push(call, "agent", np.full(1600, 100, np.int16), room.now, DEPTH)
    room.mixer.leave(call)
    assert np.count_nonzero(room.hear(0.5)[:, 0]) > 1500
    assert room.mixer.idle


def test_unselected_calls_keep_no_audio():
    room = Room()
    first = room.join(agent=100)
    room.join(agent=200)
    room.hear(1)
    assert not first.wanted
    assert not first.buffers


def test_the_choice_of_one_call_changes_while_it_is_heard():
    room = Room()
    call = room.join(agent=1000, customer=0)
    other = room.join(agent=0, customer=500)
    assert room.level() == (500, 500)  # the newest
    room.mixer.change(call, Choice("all", volume=0.5))
    assert room.level() == (1000, 1000)
    room.mixer.change(call, Choice("off"))
    assert room.level() == (500, 500)
    assert other.choice == Choice()
