"""The file format of a recorded RingCX connection: its request, each message with its arrival, and its end.

One JSON object a line: `Opened` first, then each `Message`, `Closed` last. Times are seconds of the recording machine's
monotonic clock, exactly as the listener saw them, so that a replay decides the same.

``flowcore doctor`` writes what is known to be no secret: a message that could not be read is ``?``, and one of gRPC is
in protobuf's JSON form, with the names of the .proto file (`nodes.ringcx.redact`). ``flowcore capture`` writes messages
as they came, without what may be a secret (`nodes.ringcx.capture.secret_mask`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from nodes.ringcx.listener_config import Transport

VERSION = 3
"""Written into recordings. Version 1 knew no gRPC, and 2 no bytes; both are read too."""

MAX_LINE = 1 << 20
"""Bytes of a line at most; a message has 64 KiB, and JSON within JSON may take several times as many."""


class BadRecording(ValueError):
    """A line is not valid in a recording; the text says which line and why."""


class Opened(msgspec.Struct, frozen=True, tag_field="is", tag="opened"):
    """The request: ``path`` with its query, ``headers`` (gRPC: metadata) in their order; ``recorded`` is wall time.

    ``joined`` is the second of the connection at which the recording began. What began the call before that stands
    in it as if it had come then.
    """

    version: int
    at: float
    recorded: str
    path: str
    headers: list[tuple[str, str]]
    transport: Transport = "websocket"
    joined: float = 0.0


class Message(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="is", tag="message"):
    """One whole message: ``text``, or its bytes as ``data``, in base64, where they are no text."""

    at: float
    text: str = ""
    data: bytes | None = None


class Closed(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="is", tag="closed"):
    """The end of the connection (gRPC: stream): the reason of the flow's end, and a WebSocket's close code, if any.

    ``answer`` is what this end said at last: a close code or a status, and its text.
    """

    at: float
    reason: str
    code: int | None = None
    answer: str = ""


Record = Opened | Message | Closed

_decode = msgspec.json.Decoder(Record).decode


def encode(record: Record) -> bytes:
    """Return the line of a record, with its line end."""
    return msgspec.json.encode(record) + b"\n"


def read(lines: Iterable[bytes]) -> Iterator[Record]:
    """Yield the records of a recording; it ends without `Closed` if its writer was killed.

    Raises `BadRecording` at the first invalid line, except for an incomplete last one.
    """
    for number, data in enumerate(lines, 1):
        try:
            if len(data) > MAX_LINE:
                raise BadRecording(f"line {number} is too long")
            record = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if number > 1 and not data.endswith(b"\n"):
                return
            raise BadRecording(f"line {number} is not valid in a recording: {error}") from None
        if (number == 1) != isinstance(record, Opened):
            raise BadRecording(f"line {number} is out of place: a recording begins with its only request")
        if isinstance(record, Opened) and not 1 <= record.version <= VERSION:
            raise BadRecording(f"its version is {record.version}, and {VERSION} is the newest known: update flowcore")
        yield record
