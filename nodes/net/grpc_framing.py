"""gRPC's messages in the bytes of a stream: each has a flag and its length before it.

See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import quote

Code = Literal[
    "OK", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "UNAUTHENTICATED",
]  # fmt: skip
"""Status codes of an ended stream."""

NUMBERS: Final[dict[Code, int]] = {
    "OK": 0, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5, "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8, "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14, "UNAUTHENTICATED": 16,
}  # fmt: skip
"""The codes as they are sent."""

MAX_MESSAGE = 128 * 1024
"""Bytes of a message, also of one that was compressed. RingCX's media has 800; DialogInit may have many attributes."""

ENCODINGS = ("identity", "gzip", "deflate")
"""Compressions of messages that are taken, by their names in the header ``grpc-encoding``."""

_PREFIX = struct.Struct("!?I")  # whether it is compressed, and its length


class GrpcError(Exception):
    """The stream ends with a status: ``code``, and a text for the peer."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Framing:
    """Cuts the bytes of one stream into messages, compressed as ``encoding`` says."""

    def __init__(self, encoding: str = "identity") -> None:
        self._encoding = encoding
        self._data = bytearray()

    @property
    def incomplete(self) -> bool:
        """Whether the last message is not complete."""
        return bool(self._data)

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Yield the messages that the bytes complete. Raises `GrpcError`, after the messages before."""
        buffer = self._data
        buffer += data
        at = 0
        while len(buffer) - at >= _PREFIX.size:
            compressed, length = _PREFIX.unpack_from(buffer, at)
            if length > MAX_MESSAGE:
                raise GrpcError("RESOURCE_EXHAUSTED", f"a message is longer than {MAX_MESSAGE} bytes")
            until = at + _PREFIX.size + length
            if until > len(buffer):
                break
            message = bytes(buffer[at + _PREFIX.size : until])
            yield self._decompress(message) if compressed else message
            at = until
        del buffer[:at]

    def _decompress(self, message: bytes) -> bytes:
        if self._encoding not in ENCODINGS[1:]:
            raise GrpcError("INTERNAL", "a message is compressed without grpc-encoding")
        # zlib's manual, inflateInit2: 32 more than the window finds out which of both headers there is.
        decompressing = zlib.decompressobj(zlib.MAX_WBITS | 32)
        try:
            plain = decompressing.decompress(message, MAX_MESSAGE + 1)
        except zlib.error:
            raise GrpcError("INTERNAL", f"a message is no valid {self._encoding}") from None
        if len(plain) > MAX_MESSAGE:
            raise GrpcError("RESOURCE_EXHAUSTED", f"a message is longer than {MAX_MESSAGE} bytes")
        if not decompressing.eof:
            raise GrpcError("INTERNAL", f"a message is no valid {self._encoding}")
        return plain


def frame(message: bytes) -> bytes:
    """Return a message as it is sent."""
    return _PREFIX.pack(False, len(message)) + message


def status_headers(code: Code, text: str) -> list[tuple[str, str]]:
    """Return the trailers of a stream."""
    headers = [("grpc-status", str(NUMBERS[code]))]
    return headers + [("grpc-message", quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"))] * bool(text)
