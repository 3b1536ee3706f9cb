"""WAV files: write headers, read any file, and repair files whose writer was killed.

Formats: Multimedia Programming Interface and Data Specifications 1.0 (IBM and Microsoft, 1991), chapter RIFF/WAVE,
and RFC 2361. A growing file has the sizes 0xFFFFFFFF: libsndfile and sox then read to its end, with 0 nothing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import SAMPLE_BYTES
from nodes.audio import g711

PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
UNKNOWN_SIZE = 0xFFFFFFFF
MIN_UNFINISHED_SIZE = 0x7FFF0000
"""Least size that marks an unfinished file: recorders write this (GStreamer), 0xFFFFFFFF, or 0, until they finish."""
OTHER_FILES = {
    b"fLaC": "a FLAC file", b"OggS": "an Ogg file", b"ID3": "an MP3 file", b"\xff\xfb": "an MP3 file",
    b"FORM": "an AIFF file", b".snd": "an AU file", b"caff": "a CAF file", b"RIFX": "a big-endian WAV file",
}  # fmt: skip
"""Files that users take for WAV files, by their first bytes."""
OTHER_FORMATS = {2: "Microsoft ADPCM", 17: "IMA ADPCM", 49: "GSM 6.10", 64: "G.721 ADPCM", 80: "MPEG", 85: "MP3"}
"""Formats in WAV files that users meet, by their tags (RFC 2361)."""
ENCODINGS = {encoding: (tag, SAMPLE_BYTES[encoding]) for encoding, tag in (("s16", PCM), ("mulaw", MULAW))}


class NotWav(ValueError):
    """The bytes are not a WAV file that this module reads; the message says why."""


@dataclass(frozen=True)
class Layout:
    """The content of a header: format ``tag``, bits per sample, and start and size of the data in bytes."""

    tag: int
    channels: int
    rate: int
    bits: int
    start: int
    size: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.bits // 8


def header(encoding: str, rate: int, channels: int, size: int = UNKNOWN_SIZE) -> bytes:
    """Return the bytes before the samples: 44 for s16, 58 for mulaw. ``size`` is that of the data, in bytes."""
    tag, width = ENCODINGS[encoding]
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * width, channels * width, 8 * width)
    frames = size if size == UNKNOWN_SIZE else size // (channels * width)
    # Formats other than PCM have the length of an extension, here 0, and a fact chunk with the number of frames.
    chunks = _chunk(b"fmt ", form) if tag == PCM else _chunk(b"fmt ", form + b"\0\0") + _chunk(b"fact", _u32(frames))
    whole = size if size == UNKNOWN_SIZE else 4 + len(chunks) + 8 + size + size % 2
    return b"RIFF" + _u32(whole) + b"WAVE" + chunks + b"data" + _u32(size)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + _u32(len(body)) + body


def _u32(number: int) -> bytes:
    return struct.pack("<I", number)


def read_layout(head: bytes, length: int) -> Layout:
    """Read the header of a file of ``length`` bytes from its first bytes. Raises `NotWav`."""
    if len(head) < 12 or head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
        known = (f"it is {name}" for begin, name in OTHER_FILES.items() if head.startswith(begin))
        raise NotWav(next(known, "it is no WAV file"))
    whole = int.from_bytes(head[4:8], "little")
    form: bytes | None = None
    long_size = 0  # of data that may exceed 4 GiB: EBU Tech 3306
    at = 12
    while at + 8 <= len(head):
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        at += 8
        if name == b"data" and form is not None:
            growing = size >= MIN_UNFINISHED_SIZE or (size == 0 and not at < whole < MIN_UNFINISHED_SIZE)
            left = length - at
            if size == UNKNOWN_SIZE and long_size:
                growing, size = False, long_size
            return Layout(*_format(form), start=at, size=left if growing else min(size, left))
        if name == b"fmt ":
            form = head[at : at + size]
        elif name == b"ds64":
            long_size = int.from_bytes(head[at + 8 : at + 16], "little")
        at += size + size % 2
    raise NotWav("its header is cut off")


def _format(form: bytes) -> tuple[int, int, int, int]:
    if len(form) < 16:
        raise NotWav("its format chunk is cut off")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if tag == EXTENSIBLE and len(form) >= 26:
        tag = int.from_bytes(form[24:26], "little")  # the first two bytes of the GUID are the format tag
    if not channels or not rate or (tag, bits) not in _DECODERS:
        name = OTHER_FORMATS.get(tag, f"format {tag}")
        raise NotWav(f"its format is not supported ({name}, {bits} bits, {channels} channels at {rate} Hz)")
    return tag, channels, rate, bits


def decode(data: bytes) -> tuple[int, NDArray[np.int16]]:
    """Return the rate in Hz and the samples of a whole file, shape ``(frames, channels)``. Raises `NotWav`."""
    found = read_layout(data, len(data))
    frames = found.size // found.frame_bytes
    raw = data[found.start : found.start + frames * found.frame_bytes]
    samples = _DECODERS[found.tag, found.bits](raw)
    return found.rate, samples.reshape(frames, found.channels)


def _from_float(values: NDArray[Any]) -> NDArray[np.int16]:
    scaled: NDArray[Any] = np.round(np.clip(np.nan_to_num(values), -1, 1) * 32768.0)
    samples: NDArray[np.int16] = np.minimum(scaled, 32767).astype(np.int16)
    return samples


_DECODERS: dict[tuple[int, int], Callable[[bytes], NDArray[np.int16]]] = {
    (PCM, 8): lambda raw: (np.frombuffer(raw, np.uint8).astype(np.int16) - 128) << 8,
    (PCM, 16): lambda raw: np.frombuffer(raw, "<i2").astype(np.int16),
    (PCM, 24): lambda raw: np.frombuffer(raw, np.uint8).reshape(-1, 3)[:, 1:].copy().view("<i2")[:, 0],
    (PCM, 32): lambda raw: (np.frombuffer(raw, "<i4") >> 16).astype(np.int16),
    (FLOAT, 32): lambda raw: _from_float(np.frombuffer(raw, "<f4")),
    (FLOAT, 64): lambda raw: _from_float(np.frombuffer(raw, "<f8")),
    (ALAW, 8): lambda raw: g711.decode_alaw(np.frombuffer(raw, np.uint8)),
    (MULAW, 8): lambda raw: g711.decode(np.frombuffer(raw, np.uint8)),
}


def finalize(path: Path) -> float:
    """Write the true sizes into the header of a complete file, sync the file, and return its length in seconds.

    The sizes follow from the length of the file, so this also repairs a file whose writer was killed; half a frame at
    its end is cut off. A file too short for a header becomes an empty recording. Raises OSError, and `NotWav` for
    files that `header` did not begin.
    """
    with path.open("r+b") as file:
        length = os.fstat(file.fileno()).st_size
        seconds = 0.0
        if length < 44:
            file.truncate(0)
            file.write(header("s16", g711.RATE, 1, 0))
        else:
            start = file.read(4096)
            found = read_layout(start, length)
            encoding = next((name for name, code in ENCODINGS.items() if code == (found.tag, found.bits // 8)), "")
            if not encoding:
                raise NotWav("another program wrote it")
            size = found.size - found.size % found.frame_bytes
            head = header(encoding, found.rate, found.channels, size)
            if len(head) != found.start:
                raise NotWav("another program wrote it")
            if not start.startswith(head) or length != found.start + size + size % 2:  # readers may have it open
                file.truncate(found.start + size)
                file.seek(0, os.SEEK_END)
                file.write(b"\0" * (size % 2))  # RIFF chunks have even lengths
                file.seek(0)
                file.write(head)
            seconds = size / found.frame_bytes / found.rate
        file.flush()
        os.fsync(file.fileno())
    return seconds
