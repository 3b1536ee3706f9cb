"""Two clocks that differ, over minutes, in milliseconds of a test's time."""

import numpy as np
import pytest

from nodes.sound.playout_buffer import CUT, DEEPEST, LONGEST, SLACK, STRETCH, Line

RATE, DEPTH, BLOCK = 16000, 0.03, 160


class Clocks:
    """A sender whose clock is ``ppm`` fast, and a card that takes a block when it is due."""

    def __init__(self, *, ppm=0.0, chunk=320, jitter=0.0, seed=1, depth=DEPTH):
        self.line = Line(RATE, depth)
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
        self.lost += self.line.push(self.signal(self.sent, self._chunk), self._due)
        self.sent += self._chunk

    def run(self, seconds, *, sending=True):
        until = self.now + seconds
        while self.now < until:
            self.now = self.played / RATE
            while sending and self._due <= self.now:
                self.send()
                late = self._chance.uniform(0, self._jitter) if self._jitter else 0.0
                self._due = self._origin + self.sent / self._rate + late
            block = self.line.pull(BLOCK, self.now)
            self.silent += block is None
            self.out.append(np.zeros(BLOCK, np.float32) if block is None else block)
            self.waits.append(self.line.wait)
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
    untouched = slice(first + 100, None)  # it begins with a ramp of 5 ms
    assert (heard[untouched] == clocks.signal(0, len(heard) - first)[100:]).all()
    assert clocks.lost == clocks.line.late == 0


@pytest.mark.slow
@pytest.mark.parametrize("ppm", [200, -200])
@pytest.mark.parametrize(("chunk", "jitter"), [(320, 0.0), (320, 0.008), (1600, 0.0)])
def test_ten_minutes_with_clocks_that_differ_neither_run_dry_nor_pile_up(ppm, chunk, jitter):
    clocks = Clocks(ppm=ppm, chunk=chunk, jitter=jitter).run(10)
    began = clocks.silent
    clocks.run(590)
    waits = np.array(clocks.waits[1000:])
    assert clocks.silent == began  # never silent again
    assert clocks.line.late == clocks.lost == 0
    assert (abs(waits - DEPTH) < SLACK + 0.003).all()  # found out a second later, at most


def test_without_correction_the_same_clocks_would_run_dry(monkeypatch):
    monkeypatch.setattr("nodes.sound.playout_buffer.STRETCH", 0.0)
    clocks = Clocks(ppm=-200).run(300)
    assert clocks.line.late > 0


def test_what_is_stretched_has_no_seam():
    clocks = Clocks(ppm=200)
    clocks.signal = lambda start, frames: np.round(
        8000 * np.sin(2 * np.pi * 440 / RATE * np.arange(start, start + frames))
    ).astype(np.int16)
    heard = clocks.run(180).heard()[16000:]
    assert clocks.line._step == 1.0 or clocks.line._step == 1.0 + STRETCH
    largest = 8000 * 2 * np.pi * 440 / RATE * (1 + STRETCH)
    assert np.abs(np.diff(heard)).max() < largest + 2  # rounding
    assert any(abs(wait - DEPTH) > SLACK for wait in clocks.waits)  # it was corrected at all


def test_a_pause_leaves_silence_and_the_voice_comes_back_with_the_same_delay():
    clocks = Clocks().run(5)
    clocks.run(3, sending=False).run(5)
    assert clocks.line.late == clocks.lost == 0
    assert abs(clocks.line.wait - DEPTH) < SLACK


def test_late_audio_makes_it_wait_longer_and_that_passes():
    clocks = Clocks(jitter=0.0).run(2)
    for _ in range(20):
        clocks.run(0.08, sending=False).run(1)
    assert clocks.line.late >= 5
    assert DEPTH < clocks.line._depth <= DEEPEST
    clocks.run(600)
    assert clocks.line._depth == DEPTH
    assert clocks.line.wait < DEPTH + CUT


def test_a_burst_after_a_standstill_is_cut_and_counted_and_the_delay_is_as_before():
    clocks = Clocks().run(5)
    clocks.run(0.4, sending=False)
    for _ in range(20):  # 400 ms at once
        clocks.send()
    clocks.run(5)
    assert clocks.lost > 0.2 * RATE
    assert clocks.line.wait < DEPTH + DEEPEST
    assert clocks.line.playing


def test_nobody_plays_and_it_holds_no_more_than_it_may():
    line, dropped = Line(RATE, DEPTH), 0
    for n in range(1000):
        dropped += line.push(np.full(320, n, np.int16), n * 0.02)
    assert line._coming == LONGEST * RATE
    assert dropped == 1000 * 320 - line._coming


def test_the_end_of_a_voice_is_played_and_fades():
    clocks = Clocks().run(1)
    before = clocks.sent
    clocks.run(1, sending=False)
    heard = clocks.heard()
    assert not heard[-100:].any()
    assert np.count_nonzero(heard) > before - 100
