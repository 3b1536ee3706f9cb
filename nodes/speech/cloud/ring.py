"""The audio of one party that has no final text yet, by its position in samples on the flow's clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from flowcore import Audio, Encoding
from nodes.audio import g711

WIDTH = {"mulaw": 1, "s16": 2}  # bytes of a sample
SILENCE = {"mulaw": b"\xff", "s16": b"\0\0"}
HOLE = 1.0  # seconds: a shorter hole, such as a lost packet, is filled with silence; a longer one parts two stretches
WINDOW = 0.02  # seconds over which a level is taken
PAUSE = 8  # windows: the shortest pause between words that is worth cutting at


class Ring:
    """Stretches of audio without holes, together no longer than ``longest`` seconds: the oldest give way.

    ``lost`` is the position up to which audio had to go that nobody had trimmed.
    """

    def __init__(self, encoding: Encoding, rate: int, longest: float) -> None:
        self.encoding = encoding
        self.rate = rate
        self.longest = longest
        self.lost = 0
        self._width = WIDTH[encoding]
        self._bytes = round(longest * rate) * self._width
        self._held = 0
        self._stretches: deque[tuple[int, bytearray]] = deque()

    @property
    def end(self) -> int:
        """Position after the newest sample; 0 while there is none."""
        return self._end_of(-1) if self._stretches else 0

    def add(self, chunk: Audio) -> None:
        """The next chunk. What lies before the end of the last one is left out."""
        data = chunk.samples.tobytes()
        start = chunk.start
        if self._stretches:
            hole = start - self.end
            if hole < 0:
                data = data[-hole * self._width :]
                start = self.end
            if hole <= HOLE * self.rate:
                data = SILENCE[self.encoding] * max(0, hole) + data
                self._stretches[-1][1].extend(data)
            else:
                self._stretches.append((start, bytearray(data)))
        else:
            self._stretches.append((start, bytearray(data)))
        self._held += len(data)
        while self._held > self._bytes:
            first, stretch = self._stretches[0]
            self.lost = min(first + (self._held - self._bytes) // self._width, first + len(stretch) // self._width)
            self._cut(self.lost)

    def trim(self, position: int) -> None:
        """What lies before ``position`` is no longer needed. The newest stretch stays, if only as a place."""
        while self._stretches and self._stretches[0][0] < position:
            if self._end_of(0) > position or len(self._stretches) == 1:
                self._cut(min(position, self._end_of(0)))
                return
            self._cut(self._end_of(0))

    def stretch(self, position: int) -> tuple[int, int] | None:
        """Begin and end of the stretch that ``position`` lies in, or of the first one after it; None at the end."""
        for number, (start, _) in enumerate(self._stretches):
            if self._end_of(number) > max(position, start):  # the last one may be empty
                return start, self._end_of(number)
        return None

    def read(self, start: int, end: int) -> bytes:
        """The samples from ``start`` to ``end``, which lie in one stretch."""
        for begin, stretch in self._stretches:
            if begin <= start and end <= begin + len(stretch) // self._width:
                return bytes(stretch[(start - begin) * self._width : (end - begin) * self._width])
        raise ValueError(f"no audio from {start} to {end}")

    def chunks(self, position: int, track: str) -> Iterator[Audio]:
        """All audio from ``position`` on."""
        while (found := self.stretch(position)) is not None:
            start, end = max(position, found[0]), found[1]
            kind = np.uint8 if self.encoding == "mulaw" else np.int16
            yield Audio(np.frombuffer(self.read(start, end), kind), self.encoding, self.rate, track, start)
            position = end

    def quietest(self, start: int, end: int) -> tuple[int, float]:
        """Where between two positions of one stretch a cut harms least, and how loud its 160 ms are (0 to 32768)."""
        step = round(WINDOW * self.rate)
        samples = self._linear(start, end)
        loud = np.abs(samples[: len(samples) // step * step].astype(np.float32))
        windows = loud.reshape(-1, step).mean(axis=1)
        if len(windows) < PAUSE:
            return end, float("inf")
        around = np.convolve(windows, np.ones(PAUSE, np.float32) / PAUSE, "valid")
        best = int(np.argmin(around))
        return start + (best + PAUSE // 2) * step, float(around[best])

    def _linear(self, start: int, end: int) -> NDArray[np.int16]:
        data = self.read(start, end)
        return g711.decode(np.frombuffer(data, np.uint8)) if self.encoding == "mulaw" else np.frombuffer(data, np.int16)

    def _end_of(self, number: int) -> int:
        start, stretch = self._stretches[number]
        return start + len(stretch) // self._width

    def _cut(self, position: int) -> None:
        """Remove what lies before ``position``, which lies in the first stretch or at its end."""
        start, stretch = self._stretches[0]
        gone = (position - start) * self._width
        self._held -= gone
        del stretch[:gone]
        if stretch or len(self._stretches) == 1:
            self._stretches[0] = (position, stretch)
        else:
            self._stretches.popleft()
