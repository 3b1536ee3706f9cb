"""Compressed containers, by libsndfile: FLAC, and Opus in Ogg.

The encoder writes through an object that only appends, so that what it gave out is with the kernel as anything else.
What FLAC wants to know at its beginning, the number of samples, is put there afterwards, as it is after a kill.
Formats: RFC 9639 (FLAC), RFC 3533 (Ogg).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from flowcore.files import NewFile
from nodes.recording.containers import CannotRepair, Container

STREAMINFO = 8
"""Where its body lies: behind ``fLaC`` and the header of the first block."""
BLOCK = 65535 * 8 * 4
"""More bytes than any FLAC frame of two channels of 16 bits."""
SYNC = b"\xff\xf8"
"""How a frame of a stream of equal blocks begins."""


class Encoded(Container):
    """What libsndfile can encode; ``kinds`` are its names for format and encoding."""

    kinds: ClassVar[tuple[str, str]]

    def __init__(self, file: NewFile, encoding: str, rate: int, channels: int) -> None:
        import soundfile

        super().__init__(file, encoding, rate, channels)
        self._out = _Appending(file)
        kind, code = self.kinds
        self._encoder = soundfile.SoundFile(
            self._out, "w", samplerate=rate, channels=channels, format=kind, subtype=code
        )
        self._out.check()

    def write(self, samples: NDArray[Any]) -> None:
        self._call(lambda: self._encoder.write(samples))

    def end(self) -> None:
        self._call(self._encoder.close)

    def _call(self, call: Callable[[], None]) -> None:
        """Whatever soundfile makes of a write that failed, the disk's own error is raised."""
        try:
            call()
        except (AssertionError, RuntimeError):  # an assertion of its own, or libsndfile's error
            self._out.check()
            raise
        self._out.check()

    def room(self, limit: int) -> int:
        return 1 << 62 if self._file.size < limit else 0


class Flac(Encoded):
    """Lossless, about half of the samples' size."""

    form = "flac"
    kinds = ("FLAC", "PCM_16")

    @classmethod
    def finalize(cls, path: Path) -> float:
        with path.open("r+b") as file:
            head = file.read(STREAMINFO + 34)
            if len(head) < STREAMINFO + 34 or head[:4] != b"fLaC":
                raise CannotRepair("it holds no sound" if len(head) < STREAMINFO else "another program wrote it")
            fields = int.from_bytes(head[STREAMINFO + 10 : STREAMINFO + 18], "big")  # rate, channels, bits, samples
            block = int.from_bytes(head[STREAMINFO : STREAMINFO + 2], "big")
            rate, known = fields >> 44, fields & ((1 << 36) - 1)
            frames = known or _flac_frames(file, block)
            if not known:
                file.seek(STREAMINFO + 10)
                file.write((fields | frames).to_bytes(8, "big"))
            file.flush()
            os.fsync(file.fileno())
        return frames / rate


class Opus(Encoded):
    """Lossy, made for speech: about 15 times smaller than samples. Its pages need no completion."""

    form = "opus"
    kinds = ("OGG", "OPUS")

    @classmethod
    def finalize(cls, path: Path) -> float:
        import soundfile

        try:
            with path.open("rb") as file:
                if not file.read(1):
                    raise CannotRepair("it holds no sound")
                os.fsync(file.fileno())
                file.seek(0)
                with soundfile.SoundFile(file) as sound:
                    return float(sound.frames / sound.samplerate)
        except soundfile.LibsndfileError as error:
            raise CannotRepair(str(error)) from error


class _Appending:
    """A file as libsndfile wants it. It may not raise into C, so an error waits for `check`."""

    def __init__(self, file: NewFile) -> None:
        self._file = file
        self._at = 0
        self._error: OSError | None = None

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        if self._error is not None:
            return 0
        if self._at < self._file.size:  # what FLAC would write over its beginning: `Flac.seal` does
            self._at += len(data)
            return len(data)
        try:
            self._file.append(bytes(data))
        except OSError as error:
            self._error = error
            return 0
        self._at = self._file.size
        return len(data)

    def read(self, size: int) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._file.size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def flush(self) -> None: ...


def _flac_frames(file: Any, block: int) -> int:
    """Samples of a stream of blocks of this length, as its last frame says. Raises `CannotRepair`."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(STREAMINFO + 34, length - BLOCK))
    data: bytes = file.read()
    at = len(data)
    while (at := data.rfind(SYNC, 0, at)) >= 0:
        found = _frame(data[at : at + 16], block)
        if found is not None:
            return found
    raise CannotRepair("it holds no sound")


def _frame(head: bytes, block: int) -> int | None:
    """Samples up to the end of the frame that begins with ``head``; None if none does (RFC 9639, 9.1)."""
    if len(head) < 16:
        return None
    size = max(1, 8 - (head[4] ^ 0xFF).bit_length())  # the number is written like a character of UTF-8
    number = head[4] & (0x7F if size == 1 else 0x7F >> size)
    for byte in head[5 : 4 + size]:
        number = number << 6 | byte & 0x3F
    at = 4 + size
    code, rate = head[2] >> 4, head[2] & 15
    if code in (6, 7):  # a length of its own: the stream came to its end here
        own = int.from_bytes(head[at : at + code - 5], "big") + 1
        at += code - 5
    else:
        own = block
    at += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    return number * block + own if at < len(head) and _crc8(head[:at]) == head[at] else None


def _crc8(data: bytes) -> int:
    """Polynomial x^8 + x^2 + x + 1, from zero."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc
