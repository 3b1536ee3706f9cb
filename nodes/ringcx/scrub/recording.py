"""Scrubbing of a whole recording of a call, by ``flowcore capture`` or ``flowcore doctor``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import msgspec

from nodes.ringcx.call_recording import VERSION, BadRecording, Closed, Message, Opened, Record, read
from nodes.ringcx.credentials import MASK
from nodes.ringcx.dialog_sender import METHOD
from nodes.ringcx.redact import SAFE_HEADERS, meaning
from nodes.ringcx.scrub.pseudonyms import Pseudonyms
from nodes.ringcx.scrub.websocket import WebSocketScrubber

RECORDED = "2026-01-01T00:00:00+00:00"
"""When a scrubbed call was recorded: the real time would tell which call it was."""


@dataclass(frozen=True)
class _Scrubber:
    """Scrubs messages as bytes; ``to_bytes`` and ``to_text`` are for those that are recorded as text."""

    message: Callable[[bytes], bytes]
    to_bytes: Callable[[str], bytes]
    to_text: Callable[[bytes], str]


def scrub(path: Path) -> Iterator[Record]:
    """Yield the records of a recording without speech, numbers, names and ids.

    Raises `OSError` and `nodes.ringcx.call_recording.BadRecording`.
    """
    pseudonyms = Pseudonyms()
    with path.open("rb") as file:
        records = read(file)
        opened = next(records, None)
        if not isinstance(opened, Opened):
            raise BadRecording("it is empty")
        yield _request(opened, pseudonyms)
        scrubber = _over_grpc(pseudonyms, path) if opened.transport == "grpc" else _over_websocket(pseudonyms)
        for record in records:
            yield _record(record, scrubber)


def _request(opened: Opened, pseudonyms: Pseudonyms) -> Opened:
    """Return the request with the names of usual headers; a replay asks for none of them."""
    path, mark, query = opened.path.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    scrubbed = [(name if meaning(name) else pseudonyms.text(name), pseudonyms.text(value)) for name, value in pairs]
    return msgspec.structs.replace(
        opened,
        version=VERSION,
        recorded=RECORDED,
        path=(path if path == METHOD else pseudonyms.text(path)) + mark + urlencode(scrubbed, safe="*"),
        headers=[(name if name.lower() in SAFE_HEADERS else MASK, MASK) for name, _ in opened.headers],
    )


def _record(record: Record, scrubber: _Scrubber) -> Record:
    if isinstance(record, Message):
        if record.data is not None:
            return Message(record.at, data=scrubber.message(record.data))
        return Message(record.at, scrubber.to_text(scrubber.message(scrubber.to_bytes(record.text))))
    if isinstance(record, Closed):
        return msgspec.structs.replace(record, answer=record.answer.partition(" ")[0])
    return record


def _over_websocket(pseudonyms: Pseudonyms) -> _Scrubber:
    return _Scrubber(WebSocketScrubber(pseudonyms).message, str.encode, bytes.decode)


def _over_grpc(pseudonyms: Pseudonyms, path: Path) -> _Scrubber:
    from nodes.ringcx.dialog_text import codecs_of, from_bytes, to_bytes
    from nodes.ringcx.scrub.grpc import GrpcScrubber

    with path.open("rb") as file:
        messages: Iterable[Message] = (record for record in read(file) if isinstance(record, Message))
        codecs = codecs_of(to_bytes(each.text) if each.data is None else each.data for each in messages)
    return _Scrubber(GrpcScrubber(pseudonyms, codecs).message, to_bytes, from_bytes)
