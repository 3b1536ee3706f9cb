"""The file format of a recorded RingCX connection: its request, each message with its arrival, and its end.

One JSON object a line: `Opened` first, then each `Message`, `Closed` last. Times are seconds of the recording machine's
monotonic clock, exactly as the listener saw them, so that a replay decides the same. Values that could be a secret are
masked, and a message that could not be read is ``?``: see `nodes.doctor.redact`.

Both transports have the same format. A message of gRPC is in protobuf's JSON form, with the names of the .proto file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from nodes.ringcx.listener_config import Transport

VERSION = 2
"""Written into recordings. Version 1 knew no gRPC, and is read too."""

MAX_LINE = 1 << 20
"""Bytes of a line at most; a message has 64 KiB, and JSON within JSON may take several times as many."""


class BadRecording(ValueError):
    """A line is not valid in a recording; the text says which line and why."""


class Opened(msgspec.Struct, frozen=True, tag_field="is", tag="opened"):
    """The request: ``path`` with its query, ``headers`` (gRPC: metadata) in their order; ``recorded`` is wall time."""

    version: int
    at: float
    recorded: str
    path: str
    headers: list[tuple[str, str]]
    transport: Transport = "websocket"


class Message(msgspec.Struct, frozen=True, tag_field="is", tag="message"):
    """One whole message."""

    at: float
    text: str


class Closed(msgspec.Struct, frozen=True, tag_field="is", tag="closed"):
    """The end of the connection (gRPC: stream): the reason of the flow's end, and a WebSocket's close code, if any."""

    at: float
    reason: str
    code: int | None = None


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
