"""Containers: turn samples into the bytes of one file by appending only, and complete the file afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from flowcore.audio import SAMPLE_BYTES
from flowcore.files import NewFile
from nodes.audio import wav


class CannotRepair(ValueError):
    """The file was written by another program, or holds no audio; the message says which."""


class Container(ABC):
    """Writer of one file; it does not close ``file``."""

    format_name: ClassVar[str]
    """Name of the format in metadata."""
    writes_empty: ClassVar[bool] = False
    """Whether a call without any audio leaves a file."""

    def __init__(self, file: NewFile, encoding: str, rate: int, channels: int) -> None:
        self._file = file
        self._frames = 0

    @abstractmethod
    def write(self, samples: NDArray[Any]) -> None:
        """Append frames. Raises OSError; after that the container takes no more frames."""

    def end(self) -> None:  # noqa: B027  # not all containers hold samples back
        """Append the samples that an encoder still holds. Raises OSError."""

    @abstractmethod
    def room(self, limit: int) -> int:
        """Return how many more frames fit into a file of ``limit`` bytes; many where only the encoder could know."""

    @classmethod
    @abstractmethod
    def finalize(cls, path: Path) -> float:
        """Complete and sync a file that has stopped growing, also after a kill; return its length in seconds.

        A complete file keeps every byte. Raises OSError and `CannotRepair`.
        """


class Wav(Container):
    """RIFF/WAVE with 16-bit samples or mu-law."""

    format_name = "wav"
    writes_empty = True

    def __init__(self, file: NewFile, encoding: str, rate: int, channels: int) -> None:
        super().__init__(file, encoding, rate, channels)
        self._header = wav.header(encoding, rate, channels)
        self._frame_bytes = SAMPLE_BYTES[encoding] * channels

    def write(self, samples: NDArray[Any]) -> None:
        data = samples.tobytes()
        self._file.append(data if self._file.size else self._header + data)

    def room(self, limit: int) -> int:
        return (limit - max(self._file.size, len(self._header))) // self._frame_bytes

    @classmethod
    def finalize(cls, path: Path) -> float:
        try:
            return wav.finalize(path)
        except wav.NotWav as error:
            raise CannotRepair(str(error)) from error
