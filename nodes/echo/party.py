"""One party of a call: its audio, what is done of it, and the echo in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from flowcore import Audio, Emit
from nodes.echo.canceller import REACH, Block, EchoCanceller
from nodes.echo.history import TrackHistory


class Party:
    """Emits the audio of a track sample for sample, without the echo of the other party."""

    def __init__(self, track: str, rate: int, wait: int) -> None:
        """``wait`` samples of audio wait for that of the other party, or two chunks if these are longer."""
        self.track = track
        self.history = TrackHistory()
        self.canceller: EchoCanceller
        self._rate = rate
        self._wait = wait
        self._longest = 0
        self._stretches: deque[tuple[int, int]] = deque()  # start and end of audio without a hole, not yet processed

    def cancel(self, other: TrackHistory) -> None:
        """Take ``other`` for the source of the echo."""
        self.canceller = EchoCanceller(self.history, other, self._rate)

    def add(self, chunk: Audio) -> None:
        """Take a chunk, which does not begin before the end of the last one."""
        if self._stretches and self._stretches[-1][1] == chunk.start:
            self._stretches[-1] = (self._stretches[-1][0], chunk.end)
        else:
            self._stretches.append((chunk.start, chunk.end))
        self._longest = max(self._longest, len(chunk.samples))
        keep = chunk.start - 2 * self._patience() - REACH * self.canceller.block
        self.history.append(chunk.start, chunk.samples, keep)

    def advance(self, other: int, emit: Emit[Audio]) -> None:
        """Process what both parties have; the other one has audio up to position ``other``."""
        end = self.history.end
        done = self._process(end if end - other > self._patience() else min(end, other), last=False)
        if not self._stretches:  # a pause: the time that passes is that of the other party
            done += self.canceller.take(other - 2 * self._longest)
        self._emit(done, emit)

    def flush(self, emit: Emit[Audio]) -> None:
        """Process and emit the rest."""
        self._emit([*self._process(self.history.end, last=True), *self.canceller.flush()], emit)

    def _patience(self) -> int:
        return max(self._wait, 2 * self._longest)

    def _process(self, limit: int, *, last: bool) -> list[Block]:
        """Process the blocks up to position ``limit``: whole ones, and the rest before a hole or the ``last``."""
        block, done = self.canceller.block, list[Block]()
        while self._stretches:
            start, end = self._stretches[0]
            frames = min(block, end - start)
            if start + frames > limit or (frames < block and len(self._stretches) == 1 and not last):
                break
            self._stretches.popleft()
            if start + frames < end:
                self._stretches.appendleft((start + frames, end))
            self.canceller.process(start, frames)
            done += self.canceller.take(start + block)
        return done

    def _emit(self, done: Sequence[Block], emit: Emit[Audio]) -> None:
        """Emit the blocks, those without a hole between them in one chunk."""
        first = 0
        for number, block in enumerate(done):
            if number + 1 == len(done) or done[number + 1].start != block.end:
                samples = np.concatenate([block.out for block in done[first : number + 1]])
                whole = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
                emit(Audio(whole, "s16", self._rate, self.track, done[first].start))
                first = number + 1
