"""How samples become the bytes of one file, by appending only, and how a file is made complete afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from flowcore.files import NewFile
from nodes.audio import wav


class CannotRepair(ValueError):
    """The file was not written by this container, or holds nothing; the text says which."""


class Container(ABC):
    """Writes one file; ``file`` is not closed by it."""

    form: ClassVar[str]
    """Its name in metadata."""
    empty: ClassVar[bool] = False
    """Whether there is a file without any sound."""

    def __init__(self, file: NewFile, encoding: str, rate: int, channels: int) -> None:
        self._file = file
        self._frames = 0

    @abstractmethod
    def write(self, samples: NDArray[Any]) -> None:
        """Append frames. Raises OSError, and then this container takes no more."""

    def end(self) -> None:  # noqa: B027  # most hold nothing
        """Append what an encoder still holds. Raises OSError."""

    @abstractmethod
    def room(self, limit: int) -> int:
        """How many more frames fit into a file of ``limit`` bytes; where nobody can know, many until it is full."""

    @classmethod
    @abstractmethod
    def finalize(cls, path: Path) -> float:
        """Complete a file to which nothing more will be appended, also after a kill; sync it, return its seconds.

        A file that is complete stays as it is, byte by byte. Raises OSError and `CannotRepair`.
        """


class Wav(Container):
    """RIFF/WAVE, as samples of 16 bits or mu-law."""

    form = "wav"
    empty = True

    def __init__(self, file: NewFile, encoding: str, rate: int, channels: int) -> None:
        super().__init__(file, encoding, rate, channels)
        self._header = wav.header(encoding, rate, channels)
        self._width = wav.ENCODINGS[encoding][1] * channels

    def write(self, samples: NDArray[Any]) -> None:
        data = samples.tobytes()
        self._file.append(data if self._file.size else self._header + data)

    def room(self, limit: int) -> int:
        return (limit - max(self._file.size, len(self._header))) // self._width

    @classmethod
    def finalize(cls, path: Path) -> float:
        try:
            return wav.finalize(path)
        except wav.NotWav as error:
            raise CannotRepair(str(error)) from error
