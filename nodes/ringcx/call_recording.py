"""A connection of RingCX in a file, to be played again: its request, each message with its arrival, its end.

One JSON object a line: `Opened` first, a `Message` for each, `Closed` last. Times are seconds of the recording
machine's monotonic clock, exactly as the listener had them, so that whatever depends on them comes out the same again.
What could be a secret is not in there, and a message that was no JSON is ``?``: see `nodes.doctor.redact`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

VERSION = 1

LINE_LIMIT = 1 << 20
"""Bytes of a line at most; a message has 64 KiB, and JSON within JSON may take several times as many."""


class NotRecording(ValueError):
    """A line is none of a recording; the text says which and why."""


class Opened(msgspec.Struct, frozen=True, tag_field="is", tag="opened"):
    """The upgrade request: ``path`` with its query, ``headers`` in their order; ``recorded`` is wall time."""

    version: int
    at: float
    recorded: str
    path: str
    headers: list[tuple[str, str]]


class Message(msgspec.Struct, frozen=True, tag_field="is", tag="message"):
    """A whole message."""

    at: float
    text: str


class Closed(msgspec.Struct, frozen=True, tag_field="is", tag="closed"):
    """The end, for one of the reasons of `nodes.net.peer.Peer.closed`; ``code`` is the peer's, if it gave one."""

    at: float
    reason: str
    code: int | None = None


Line = Opened | Message | Closed

_decode = msgspec.json.Decoder(Line).decode
_encode = msgspec.json.encode


def line(event: Line) -> bytes:
    """The line of an event, with its end."""
    return _encode(event) + b"\n"


def read(lines: Iterable[bytes]) -> Iterator[Line]:
    """The events of a recording; one whose writer was killed ends without `Closed`.

    Raises `NotRecording` at the first line that is none of it, but for a last one that is not whole.
    """
    for number, data in enumerate(lines, 1):
        try:
            if len(data) > LINE_LIMIT:
                raise NotRecording(f"line {number} is too long")
            event = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if number > 1 and not data.endswith(b"\n"):
                return
            raise NotRecording(f"line {number} is not one of a recording: {error}") from None
        if (number == 1) != isinstance(event, Opened):
            raise NotRecording(f"line {number} is out of place: a recording begins with its one request")
        if isinstance(event, Opened) and event.version != VERSION:
            raise NotRecording(f"it is of version {event.version}, and only {VERSION} is known: update flowcore")
        yield event
