"""The audio of one track that has no final text yet, by its position in samples on the flow's clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from flowcore import Audio, Encoding
from flowcore.audio import SAMPLE_BYTES, SILENCE
from nodes.audio import g711

MAX_FILLED_HOLE = 1.0  # seconds: silence fills it, such as for a lost packet; a longer hole separates stretches
WINDOW_SECONDS = 0.02  # over which a level is measured
PAUSE_WINDOWS = 8  # the shortest pause between words that is worth a cut


class ReplayBuffer:
    """Stretches of audio without holes, at most ``max_seconds`` in all: the oldest audio is dropped first.

    ``lost`` is the position up to which audio was dropped before it was trimmed.
    """

    def __init__(self, encoding: Encoding, rate: int, max_seconds: float) -> None:
        self.encoding = encoding
        self.rate = rate
        self.max_seconds = max_seconds
        self.lost = 0
        self._width = SAMPLE_BYTES[encoding]
        self._bytes = round(max_seconds * rate) * self._width
        self._held = 0
        self._stretches: deque[tuple[int, bytearray]] = deque()

    @property
    def end(self) -> int:
        """Position after the newest sample; 0 without audio."""
        return self._end_of(-1) if self._stretches else 0

    def add(self, chunk: Audio) -> None:
        """Append a chunk, without its audio before the end of the last chunk."""
        data = chunk.samples.tobytes()
        hole = chunk.start - self.end
        if self._stretches and hole <= MAX_FILLED_HOLE * self.rate:
            data = bytes([SILENCE[self.encoding]]) * (max(0, hole) * self._width) + data[max(0, -hole) * self._width :]
            self._stretches[-1][1].extend(data)
        else:
            self._stretches.append((chunk.start, bytearray(data)))
        self._held += len(data)
        while self._held > self._bytes:
            first, stretch = self._stretches[0]
            self.lost = min(first + (self._held - self._bytes) // self._width, first + len(stretch) // self._width)
            self._cut(self.lost)

    def trim(self, position: int) -> None:
        """Free the audio before ``position``. The newest stretch stays, perhaps empty, and keeps its position."""
        while self._stretches and self._stretches[0][0] < position:
            if self._end_of(0) > position or len(self._stretches) == 1:
                self._cut(min(position, self._end_of(0)))
                return
            self._cut(self._end_of(0))

    def stretch(self, position: int) -> tuple[int, int] | None:
        """Start and end of the stretch with ``position`` in it, or of the next one; None without either."""
        for number, (start, _) in enumerate(self._stretches):
            if self._end_of(number) > max(position, start):  # the last one may be empty
                return start, self._end_of(number)
        return None

    def read(self, start: int, end: int) -> bytes:
        """Return the samples from ``start`` to ``end``, which must lie in one stretch.

        Raises:
            ValueError: There is no such stretch.
        """
        for begin, stretch in self._stretches:
            if begin <= start and end <= begin + len(stretch) // self._width:
                return bytes(stretch[(start - begin) * self._width : (end - begin) * self._width])
        raise ValueError(f"no audio from {start} to {end}")

    def chunks(self, position: int, track: str) -> Iterator[Audio]:
        """Yield all audio from ``position`` on, one chunk for each stretch."""
        while (found := self.stretch(position)) is not None:
            start, end = max(position, found[0]), found[1]
            kind = np.uint8 if self.encoding == "mulaw" else np.int16
            yield Audio(np.frombuffer(self.read(start, end), kind), self.encoding, self.rate, track, start)
            position = end

    def quietest(self, start: int, end: int) -> tuple[int, float]:
        """Return the middle of the quietest 160 ms between two positions of a stretch, and their level (0 to 32768)."""
        step = round(WINDOW_SECONDS * self.rate)
        samples = self._linear(start, end)
        loud = np.abs(samples[: len(samples) // step * step].astype(np.float32))
        windows = loud.reshape(-1, step).mean(axis=1)
        if len(windows) < PAUSE_WINDOWS:
            return end, float("inf")
        around = np.convolve(windows, np.ones(PAUSE_WINDOWS, np.float32) / PAUSE_WINDOWS, "valid")
        best = int(np.argmin(around))
        return start + (best + PAUSE_WINDOWS // 2) * step, float(around[best])

    def _linear(self, start: int, end: int) -> NDArray[np.int16]:
        data = self.read(start, end)
        return g711.decode(np.frombuffer(data, np.uint8)) if self.encoding == "mulaw" else np.frombuffer(data, np.int16)

    def _end_of(self, number: int) -> int:
        start, stretch = self._stretches[number]
        return start + len(stretch) // self._width

    def _cut(self, position: int) -> None:
        """Remove the audio before ``position``, which lies in the first stretch or at its end."""
        start, stretch = self._stretches[0]
        gone = (position - start) * self._width
        self._held -= gone
        del stretch[:gone]
        if stretch or len(self._stretches) == 1:
            self._stretches[0] = (position, stretch)
        else:
            self._stretches.popleft()
