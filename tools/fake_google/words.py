"""Artificial language: mu-law bytes that tell to which word, and to which part of it, they belong.

A word is a row of *cells* of 5 ms. Each cell holds a mark, the number of the word, its own place in the word, the
number of cells, and a pattern that depends on all of these. A word counts when all of its cells arrive whole, in order
and without a byte between them; so a byte that is lost, repeated or moved costs the word in which it happened.

All bytes are from 0x80 to 0xC0, so they survive mu-law -> s16 -> mu-law. 0xFF is silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

RATE = 8000
CELL = 40  # samples, 5 ms
MARK = 0xC0  # no other byte of a cell has this value
SILENCE = 0xFF
NUMBERS = 64**3
MOST_CELLS = 64**2 - 1  # 20 s


@dataclass(frozen=True)
class Word:
    """Word ``number``, from sample ``start`` to sample ``end`` of its stream."""

    number: int
    start: int
    end: int

    @property
    def text(self) -> str:
        """Return the word as text."""
        return f"w{self.number}"


def speak(number: int, seconds: float = 0.3) -> bytes:
    """Return the bytes of word ``number``, ``seconds`` long, rounded to 5 ms."""
    cells = round(seconds * RATE / CELL)
    if not 0 < cells <= MOST_CELLS or not 0 <= number < NUMBERS:
        raise ValueError(f"no word {number} of {seconds} s")
    return b"".join(_cell(number, place, cells) for place in range(cells))


def silence(seconds: float) -> bytes:
    """Return ``seconds`` of silence."""
    return bytes([SILENCE]) * round(seconds * RATE)


def mulaw(words: Iterable[tuple[int, float, float]], seconds: float = 0.0) -> bytes:
    """Return audio of at least ``seconds`` with ``words``, each given as number, start and end in seconds."""
    sound = bytearray()
    for number, start, end in words:
        sound += silence(start - len(sound) / RATE)
        sound += speak(number, end - start)
    return bytes(sound + silence(max(0.0, seconds - len(sound) / RATE)))


class WordReader:
    """Read words from a stream of bytes, however it is cut. ``position`` is the number of samples read."""

    def __init__(self) -> None:
        self.position = 0
        self.broken = 0
        """Words of which only a part arrived."""
        self.loud = 0
        """End of the last cell, in samples."""
        self._rest = b""
        self._open: tuple[int, int] | None = None  # number of the word that is being read, and its next cell
        self._began = 0

    def read(self, sound: bytes) -> Iterator[Word]:
        """Read more bytes and yield the words that end in them."""
        data = self._rest + sound
        origin = self.position - len(self._rest)
        self.position += len(sound)
        at = 0
        while (mark := data.find(MARK, at)) >= 0 and mark + CELL <= len(data):
            if mark > at:
                self._break()
            cell = data[mark : mark + CELL]
            number, place, cells = _header(cell)
            if cell != _cell(number, place, cells):
                self._break()
                at = mark + 1
                continue
            at = mark + CELL
            word = self._take(number, place, cells, origin + mark)
            if word is not None:
                yield word
        if mark < 0:
            mark = len(data)
        if mark > at:
            self._break()
        self._rest = data[mark:]

    def _take(self, number: int, place: int, cells: int, at: int) -> Word | None:
        self.loud = at + CELL
        if place == 0:
            self._break()
            self._began = at
        elif self._open != (number, place):
            if self._open is None:
                self.broken += place == cells - 1  # its beginning never arrived: counted once, at its end
                return None
            self._break()
            return None
        self._open = (number, place + 1)
        if place + 1 < cells:
            return None
        self._open = None
        return Word(number, self._began, at + CELL)

    def _break(self) -> None:
        if self._open is not None:
            self.broken += 1
            self._open = None


def _header(cell: bytes) -> tuple[int, int, int]:
    a, b, c, d, e, f, g = (byte & 63 for byte in cell[1:8])
    return a << 12 | b << 6 | c, d << 6 | e, f << 6 | g


@lru_cache(maxsize=100_000)
def _cell(number: int, place: int, cells: int) -> bytes:
    header = (number >> 12, number >> 6, number, place >> 6, place, cells >> 6, cells)
    # Odd weights: whichever six bits of the header change, the pattern does.
    seed = sum((value & 63) * (2 * at + 3) for at, value in enumerate(header))
    pattern = (seed + step * 5 for step in range(CELL - 1 - len(header)))
    return bytes([MARK, *(0x80 | value & 63 for value in (*header, *pattern))])
