"""Remove the echo of the far party from the channel of the near party, block by block."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nodes.echo.echo_path import PARTITIONS, EchoPath
from nodes.echo.echo_search import LONGEST_DELAY, LOUDEST_ECHO, WINDOW, EchoSearch
from nodes.echo.history import TrackHistory
from nodes.echo.residual_gate import ResidualGate

BLOCK_SECONDS = 0.02

MAX_HELD = 30
"""Blocks for which a signal that may be an echo waits for the search."""

REACH = LONGEST_DELAY + WINDOW + MAX_HELD + PARTITIONS + 1
"""How many blocks of the past a canceller reads."""

AUDIBLE_FAR = 1000.0
"""Mean square of s16 samples of the far party below which it has no echo: -60 dB full scale."""


@dataclass
class Block:
    """A block of the near party: its position, what comes out, and whether it may still be an unknown echo."""

    start: int
    end: int
    out: NDArray[Any]
    suspect: bool


class EchoCanceller:
    """One direction: the voice of ``far`` in the channel of ``near``.

    A signal much softer than the far party is held until the search has found its path, `MAX_HELD` blocks at most. A
    louder signal is done at once, and so is everything while the far party is silent.
    """

    def __init__(self, near: TrackHistory, far: TrackHistory, rate: int) -> None:
        self.block = round(BLOCK_SECONDS * rate)
        self.path: EchoPath | None = None
        self._near, self._far = near, far
        self._search = EchoSearch(near, far, self.block)
        self._gate = ResidualGate()
        self._queue: deque[Block] = deque()

    def process(self, start: int, frames: int) -> None:
        """Take the block at position ``start``, in samples, of both parties.

        The first ``frames`` samples come out: the last block before a hole is shorter.
        """
        end = start + self.block
        near = self._near.read(start, end)
        past = self._far.read(end - (LONGEST_DELAY + PARTITIONS) * self.block, end).reshape(-1, self.block)
        loudest = float(np.einsum("ij,ij->i", past, past).max()) / self.block
        block = Block(start, start + frames, near[:frames], suspect=False)
        self._queue.append(block)
        if loudest < AUDIBLE_FAR:
            return
        if float(near @ near) / self.block >= LOUDEST_ECHO * loudest:
            for waiting in self._queue:  # a voice: they may be its soft beginning
                waiting.suspect = False
        else:
            block.suspect = bool(near.any())
        if self.path:
            self._cancel(block, self.path)
        if path := self._search.update(end, self.path):
            self.path, self._gate = path, ResidualGate()
            for waiting in self._queue:
                self._cancel(waiting, path)

    def take(self, now: int) -> list[Block]:
        """Return the blocks that are done at position ``now``, in order."""
        done = []
        while self._queue and (not self._queue[0].suspect or self._queue[0].start + MAX_HELD * self.block <= now):
            done.append(self._queue.popleft())
        return done

    def flush(self) -> list[Block]:
        """Return all blocks that are left."""
        done = list(self._queue)
        self._queue.clear()
        return done

    def _cancel(self, block: Block, path: EchoPath) -> None:
        end = block.start + self.block
        near = self._near.read(block.start, end)
        block.out = self._gate.process(near, *path.predict(near, self._far, end))[: block.end - block.start]
        block.suspect = block.suspect and bool(block.out.any())
