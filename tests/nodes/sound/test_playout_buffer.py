"""Minutes of two clocks that differ, simulated in milliseconds."""

import numpy as np
import pytest

from nodes.sound.playout_buffer import (
    MAX_DEPTH,
    MAX_QUEUED_SECONDS,
    MAX_SURPLUS_SECONDS,
    SPEED_CORRECTION,
    WAIT_TOLERANCE,
    PlayoutBuffer,
)

RATE, DEPTH, BLOCK = 16000, 0.03, 160


class Clocks:
    """A sender whose clock is ``ppm`` fast, and a card that takes each block when it is due."""

    def __init__(self, *, ppm=0.0, chunk=320, jitter=0.0, seed=1, depth=DEPTH):
        self.buffer = PlayoutBuffer(RATE, depth)
        self.now = 0.0
        self.sent = self.played = 0
        self.lost = 0
        self.silent = 0
        self.waits = []
        self.out = []
        self._chance = np.random.default_rng(seed)
        self._rate = RATE * (1 + ppm * 1e-6)
        self._chunk, self._jitter = chunk, jitter
        self._due = self._origin = 0.0

    def signal(self, start, frames):
        return (1 + np.arange(start, start + frames) % 30000).astype(np.int16)

    def send(self):
        self.lost += self.buffer.push(self.signal(self.sent, self._chunk), self._due)
        self.sent += self._chunk

    def run(self, seconds, *, sending=True):
        until = self.now + seconds
        while self.now < until:
            self.now = self.played / RATE
            while sending and self._due <= self.now:
                self.send()
                late = self._chance.uniform(0, self._jitter) if self._jitter else 0.0
                self._due = self._origin + self.sent / self._rate + late
            block = self.buffer.pull(BLOCK, self.now)
            self.silent += block is None
            self.out.append(np.zeros(BLOCK, np.float32) if block is None else block)
            self.waits.append(self.buffer.wait)
            self.played += BLOCK
        if not sending:
            self._due = self.now
            self._origin = self.now - self.sent / self._rate
        return self

    def heard(self):
        return np.concatenate(self.out)


def test_while_clocks_agree_every_sample_is_played_as_it_came():
    clocks = Clocks().run(20)
    heard = clocks.heard()
    first = clocks.silent * BLOCK
    untouched = slice(first + 100, None)  # playout begins with a ramp of 5 ms
    assert (heard[untouched] == clocks.signal(0, len(heard) - first)[100:]).all()
    assert clocks.lost == clocks.buffer.late == 0


@pytest.mark.slow
@pytest.mark.parametrize("ppm", [200, -200])
@pytest.mark.parametrize(("chunk", "jitter"), [(320, 0.0), (320, 0.008), (1600, 0.0)])
def test_ten_minutes_with_clocks_that_differ_neither_run_dry_nor_pile_up(ppm, chunk, jitter):
    clocks = Clocks(ppm=ppm, chunk=chunk, jitter=jitter).run(10)
    began = clocks.silent
    clocks.run(590)
    waits = np.array(clocks.waits[1000:])
    assert clocks.silent == began  # never silent again
    assert clocks.buffer.late == clocks.lost == 0
    assert (abs(waits - DEPTH) < WAIT_TOLERANCE + 0.003).all()  # noticed a second later at most


@pytest.mark.slow
def test_without_correction_the_same_clocks_would_run_dry(monkeypatch):
    monkeypatch.setattr("nodes.sound.playout_buffer.SPEED_CORRECTION", 0.0)
    clocks = Clocks(ppm=-200).run(300)
    assert clocks.buffer.late > 0


def test_corrected_speed_has_no_seam():
    clocks = Clocks(ppm=200)
    clocks.signal = lambda start, frames: np.round(
        8000 * np.sin(2 * np.pi * 440 / RATE * np.arange(start, start + frames))
    ).astype(np.int16)
    heard = clocks.run(180).heard()[16000:]
    assert clocks.buffer._step == 1.0 or clocks.buffer._step == 1.0 + SPEED_CORRECTION
    largest = 8000 * 2 * np.pi * 440 / RATE * (1 + SPEED_CORRECTION)
    assert np.abs(np.diff(heard)).max() < largest + 2  # rounding
    assert any(abs(wait - DEPTH) > WAIT_TOLERANCE for wait in clocks.waits)  # there was a correction


def test_a_pause_leaves_silence_and_the_voice_comes_back_with_the_same_delay():
    clocks = Clocks().run(5)
    clocks.run(3, sending=False).run(5)
    assert clocks.buffer.late == clocks.lost == 0
    assert abs(clocks.buffer.wait - DEPTH) < WAIT_TOLERANCE


@pytest.mark.slow
def test_late_audio_increases_the_depth_for_a_while():
    clocks = Clocks(jitter=0.0).run(2)
    for _ in range(20):
        clocks.run(0.08, sending=False).run(1)
    assert clocks.buffer.late >= 5
    assert DEPTH < clocks.buffer._depth <= MAX_DEPTH
    clocks.run(600)
    assert clocks.buffer._depth == DEPTH
    assert clocks.buffer.wait < DEPTH + MAX_SURPLUS_SECONDS


def test_a_burst_after_a_standstill_is_cut_and_counted_and_the_delay_is_as_before():
    clocks = Clocks().run(5)
    clocks._due += 0.4  # what was spoken meanwhile comes at once
    clocks.run(6)
    assert clocks.lost > 0.2 * RATE
    assert clocks.buffer.wait < DEPTH + MAX_SURPLUS_SECONDS
    assert clocks.buffer.playing


def test_a_burst_of_a_sender_that_then_waits_is_played_whole():
    clocks = Clocks().run(5)
    clocks.run(0.4, sending=False)
    for _ in range(20):  # 400 ms before their time
        clocks.send()
    clocks.run(5)
    assert clocks.lost < 0.03 * RATE  # quiet samples
    assert clocks.buffer.wait < DEPTH + MAX_SURPLUS_SECONDS


WORD, PAUSE = round(0.45 * RATE), round(0.15 * RATE)


class Talker(Clocks):
    """Says words of 450 ms, no sample of which is like another, with pauses of 150 ms."""

    def signal(self, start, frames):
        at = np.arange(start, start + frames)
        in_word = at % (WORD + PAUSE) >= PAUSE
        return np.where(in_word, 3000 + at % 27011, at % 7).astype(np.int16)


@pytest.mark.fault(62)
@pytest.mark.parametrize("late", [0.075, 0.115, 0.3, 0.5])
def test_a_card_that_starts_late_makes_up_for_it_in_silence_and_cuts_no_word(late):
    talker = Talker()
    while talker._due <= late:
        talker.send()
        talker._due = talker.sent / RATE
    talker.played = round(late * RATE)
    heard = talker.run(6).heard()
    assert talker.buffer.wait < DEPTH + MAX_SURPLUS_SECONDS
    spoken = heard[heard > 2000]
    said = talker.signal(0, talker.sent)
    said = said[said > 2000]
    assert (spoken == said[: len(spoken)]).all()
    assert len(spoken) > 4 * RATE


def test_a_surplus_is_cut_out_of_words_when_no_pause_comes():
    clocks = Clocks()
    clocks.signal = lambda start, frames: (3000 + np.arange(start, start + frames) % 27011).astype(np.int16)
    while clocks._due <= 0.2:
        clocks.send()
        clocks._due = clocks.sent / RATE
    clocks.played = round(0.2 * RATE)
    clocks.run(3)
    assert clocks.lost == 0
    clocks.run(3)
    assert clocks.lost > 0.1 * RATE
    assert clocks.buffer.wait < DEPTH + MAX_SURPLUS_SECONDS


def test_a_buffer_that_is_not_played_stays_bounded():
    buffer, dropped = PlayoutBuffer(RATE, DEPTH), 0
    for n in range(1000):
        dropped += buffer.push(np.full(320, n, np.int16), n * 0.02)
    assert buffer._queued == MAX_QUEUED_SECONDS * RATE
    assert dropped == 1000 * 320 - buffer._queued


def test_the_end_of_a_voice_is_played_and_fades():
    clocks = Clocks().run(1)
    before = clocks.sent
    clocks.run(1, sending=False)
    heard = clocks.heard()
    assert not heard[-100:].any()
    assert np.count_nonzero(heard) > before - 100
