"""Compressed containers, by libsndfile: FLAC, and Opus in Ogg.

The encoder writes through a file object that only appends, so its output reaches the kernel at once. FLAC stores the
number of samples in its header: `Flac.finalize` writes that number afterwards, in the same way as after a kill.
Formats: `nodes.audio.flac`, RFC 3533 (Ogg).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from flowcore.files import NewFile
from nodes.audio import flac
from nodes.recording.containers import CannotRepair, Container


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
        try:
            return flac.finalize(path)
        except flac.NotFlac as error:
            raise CannotRepair(str(error)) from error


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
