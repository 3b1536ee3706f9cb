"""Compressed containers, by libsndfile: FLAC, and Opus in Ogg.

The encoder writes through a file object that only appends, so its output reaches the kernel at once. FLAC stores the
number of samples in its header: `Flac.finalize` writes that number afterwards, in the same way as after a kill.
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

STREAMINFO_START = 8  # offset of the body of STREAMINFO, behind ``fLaC`` and the header of the first block
STREAMINFO_END = STREAMINFO_START + 34
MAX_FRAME_BYTES = 65535 * 8 * 4  # bound on the bytes of a FLAC frame of two channels of 16 bits
FRAME_SYNC = b"\xff\xf8"  # first bytes of a frame in a stream of equal blocks


class Encoded(Container):
    """A container that libsndfile writes; ``libsndfile_names`` are its names of format and encoding."""

    libsndfile_names: ClassVar[tuple[str, str]]

    def __init__(self, file: NewFile, encoding: str, rate: int, channels: int) -> None:
        import soundfile

        super().__init__(file, encoding, rate, channels)
        self._out = _AppendOnlyFile(file)
        major, subtype = self.libsndfile_names
        self._encoder = soundfile.SoundFile(
            self._out, "w", samplerate=rate, channels=channels, format=major, subtype=subtype
        )
        self._out.check()

    def write(self, samples: NDArray[Any]) -> None:
        self._call(lambda: self._encoder.write(samples))

    def end(self) -> None:
        self._call(self._encoder.close)

    def _call(self, call: Callable[[], None]) -> None:
        """Run ``call``; where a write failed, raise the OSError of the disk instead of soundfile's error."""
        try:
            call()
        except (AssertionError, RuntimeError):  # an assertion of soundfile, or libsndfile's error
            self._out.check()
            raise
        self._out.check()

    def room(self, limit: int) -> int:
        return 1 << 62 if self._file.size < limit else 0


class Flac(Encoded):
    """Lossless compression to about half of the samples' size."""

    format_name = "flac"
    libsndfile_names = ("FLAC", "PCM_16")

    @classmethod
    def finalize(cls, path: Path) -> float:
        with path.open("r+b") as file:
            head = file.read(STREAMINFO_END)
            if len(head) < STREAMINFO_END or head[:4] != b"fLaC":
                raise CannotRepair("it holds no audio" if len(head) < STREAMINFO_START else "another program wrote it")
            body = head[STREAMINFO_START:]
            fields = int.from_bytes(body[10:18], "big")  # rate, channels, bits, samples
            block = int.from_bytes(body[:2], "big")
            rate, known = fields >> 44, fields & ((1 << 36) - 1)
            frames = known or _flac_frames(file, block)
            if not known:
                file.seek(STREAMINFO_START + 10)
                file.write((fields | frames).to_bytes(8, "big"))
            file.flush()
            os.fsync(file.fileno())
        return frames / rate


class Opus(Encoded):
    """Lossy compression for speech to about a fifteenth of the samples' size. Its pages need no completion."""

    format_name = "opus"
    libsndfile_names = ("OGG", "OPUS")

    @classmethod
    def finalize(cls, path: Path) -> float:
        import soundfile

        try:
            with path.open("rb") as file:
                if not file.read(1):
                    raise CannotRepair("it holds no audio")
                os.fsync(file.fileno())
                file.seek(0)
                with soundfile.SoundFile(file) as sound:
                    return float(sound.frames / sound.samplerate)
        except soundfile.LibsndfileError as error:
            raise CannotRepair(str(error)) from error


class _AppendOnlyFile:
    """File object for libsndfile. It must not raise into C: an error is kept for `check`."""

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
        if self._at < self._file.size:  # FLAC overwrites its header; `Flac.finalize` does that instead
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
    """Return the length of a stream in samples, read from its last frame. Raises `CannotRepair`.

    ``block`` is the length of every frame but the last, in samples.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(max(STREAMINFO_END, length - MAX_FRAME_BYTES))
    data: bytes = file.read()
    at = len(data)
    while (at := data.rfind(FRAME_SYNC, 0, at)) >= 0:
        end = _frame_end(data[at : at + 16], block)
        if end is not None:
            return end
    raise CannotRepair("it holds no audio")


def _frame_end(head: bytes, block: int) -> int | None:
    """Return the position after the frame that begins with ``head``, in samples.

    Returns None for bytes that begin no frame (RFC 9639, 9.1).
    """
    if len(head) < 6:
        return None
    size = max(1, 8 - (head[4] ^ 0xFF).bit_length())  # the number is coded like a UTF-8 character
    number = head[4] & (0x7F if size == 1 else 0x7F >> size)
    for byte in head[5 : 4 + size]:
        number = number << 6 | byte & 0x3F
    at = 4 + size
    code, rate = head[2] >> 4, head[2] & 15
    if code in (6, 7):  # the frame has its own length: it is the last of the stream
        own = int.from_bytes(head[at : at + code - 5], "big") + 1
        at += code - 5
    else:
        own = block
    at += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    return number * block + own if at < len(head) and _crc8(head[:at]) == head[at] else None


def _crc8(data: bytes) -> int:
    """Return the CRC-8 of FLAC: polynomial x^8 + x^2 + x + 1, initial value 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc
