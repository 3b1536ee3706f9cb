"""FLAC files whose header lacks the number of samples: read it from their last frame. Format: RFC 9639.

`finalize` completes a file that was written by appending only, by its writer or after a kill.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

STREAMINFO_START = 8  # offset of the body of STREAMINFO, behind ``fLaC`` and the header of the first block
STREAMINFO_END = STREAMINFO_START + 34
SAMPLES_MASK = (1 << 36) - 1  # the number of samples, in the 64 bits of STREAMINFO that begin with the rate
MAX_FRAME_BYTES = 65535 * 8 * 4  # bound on the bytes of a frame of two channels of 16 bits
FRAME_SYNC = b"\xff\xf8"  # first bytes of a frame in a stream of equal blocks
MAX_FRAME_HEADER = 16  # bytes
BLOCK_SIZES = {
    1: 192,
    **{code: 576 << code - 2 for code in range(2, 6)},
    **{code: 256 << code - 8 for code in range(8, 16)},
}
"""Samples of a frame by the code in its header (9.1.1); with 6 or 7 the header gives the number in 1 or 2 bytes."""
RATE_BYTES = {12: 1, 13: 2, 14: 2}
"""Bytes of the rate in a frame's header, by the code there (9.1.2); without an entry, none."""


class NotFlac(ValueError):
    """The file holds no audio, or no FLAC; the message says which."""


@dataclass(frozen=True)
class Frame:
    """A whole frame: its end in the bytes that were searched, and its end in the stream, in samples."""

    end: int
    samples_end: int


def finalize(path: Path) -> float:
    """Write the number of samples into the header, sync the file, and return its length in seconds.

    A frame that is not whole, at the end of a file whose writer was killed, is cut off. A complete file keeps every
    byte. Raises OSError and `NotFlac`.
    """
    with path.open("r+b") as file:
        head = file.read(STREAMINFO_END)
        if len(head) < STREAMINFO_END or head[:4] != b"fLaC":
            raise NotFlac("it holds no audio" if len(head) < STREAMINFO_START else "another program wrote it")
        at = STREAMINFO_START + 10
        fields = int.from_bytes(head[at : at + 8], "big")  # rate, channels, bits, samples
        samples = fields & SAMPLES_MASK
        if not samples:
            length = file.seek(0, os.SEEK_END)
            start = file.seek(max(STREAMINFO_END, length - MAX_FRAME_BYTES))
            block = int.from_bytes(head[STREAMINFO_START : STREAMINFO_START + 2], "big")
            frame = _last_frame(file.read(), block)
            samples = frame.samples_end
            file.truncate(start + frame.end)
            file.seek(at)
            file.write((fields | samples).to_bytes(8, "big"))
        file.flush()
        os.fsync(file.fileno())
    return samples / (fields >> 44)


def _last_frame(data: bytes, block: int) -> Frame:
    """Return the last whole frame in ``data``; all frames but the last of a stream have ``block`` samples.

    The bytes that begin a frame also occur within frames. A frame is one whose header and whole bytes have the right
    checksums. Raises `NotFlac` without such a frame.
    """
    ends = [len(data)]
    at = len(data)
    while (at := data.rfind(FRAME_SYNC, 0, at)) >= 0:
        samples_end = _samples_end(data[at : at + MAX_FRAME_HEADER], block)
        if samples_end is None:
            continue
        for end in ends:
            if not _crc16(data[at:end]):
                return Frame(end, samples_end)
        ends.append(at)
    raise NotFlac("it holds no audio")


def _samples_end(head: bytes, block: int) -> int | None:
    """Return the end in the stream, in samples, of the frame that begins with ``head``; None if it is no header."""
    if len(head) < 6:
        return None
    size = max(1, 8 - (head[4] ^ 0xFF).bit_length())  # the number is coded like a UTF-8 character
    number = head[4] & (0x7F if size == 1 else 0x7F >> size)
    for byte in head[5 : 4 + size]:
        number = number << 6 | byte & 0x3F
    at = 4 + size
    code = head[2] >> 4
    if code in (6, 7):
        own = int.from_bytes(head[at : at + code - 5], "big") + 1
        at += code - 5
    else:
        own = BLOCK_SIZES.get(code, 0)
    at += RATE_BYTES.get(head[2] & 15, 0)
    return number * block + own if own and at < len(head) and _crc8(head[:at]) == head[at] else None


def _crc_table(bits: int, polynomial: int) -> list[int]:
    table = []
    for crc in range(256):
        crc <<= bits - 8
        for _ in range(8):
            crc = crc << 1 ^ (polynomial if crc >> bits - 1 else 0)
            crc &= (1 << bits) - 1
        table.append(crc)
    return table


_CRC8 = _crc_table(8, 0x07)
_CRC16 = _crc_table(16, 0x8005)


def _crc8(data: bytes) -> int:
    """Return the checksum of a frame's header."""
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def _crc16(data: bytes) -> int:
    """Return the checksum of a frame: 0 for a whole one, whose last two bytes are the checksum of the others."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
    return crc
