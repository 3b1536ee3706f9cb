"""Scrubbing of messages over WebSocket: their text stays as it is, but for its values."""

from __future__ import annotations

import base64
import binascii
import re

from flowcore import BadMessage
from nodes.ringcx.call_state import CallState, Ignored, ProtocolError, Repaired
from nodes.ringcx.json_text import replace_values
from nodes.ringcx.messages import EmptyMedia, Media, parse
from nodes.ringcx.redact import SAFE_FIELDS, meaning
from nodes.ringcx.scrub.payloads import Payloads
from nodes.ringcx.scrub.pseudonyms import Pseudonyms

_FORMATS = r"audio/(x-)?(mulaw|pcmu|pcma|alaw|basic|opus|l16|wav)|(x-)?mulaw|ulaw|pcmu|pcma|alaw|linear16|l16|opus|flac"
_RATES = r"(8|11\.025|12|16|22\.05|24|32|44\.1|48)000(\.0)?"
KEPT = {
    "event": r"media|start|stop|connected",
    "perspective": r"participant|conference",
    "protocol": r"agentsession",
    "version": r"\d(\.\d){0,2}",
    "contenttype": _FORMATS,
    "audiocontenttype": _FORMATS,
    "encoding": _FORMATS,
    "samplerate": _RATES,
    "sampleratehertz": _RATES,
    "sequenceid": r"\d{1,6}",  # and any number that the listener takes for one
    "duration": r"\d{1,6}(\.\d{1,9})?",
    "producttype": r"queue|campaign|ivr",
}
"""Patterns of values that stay, by their field."""
_KEPT = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in KEPT.items()}
_FIELDS = SAFE_FIELDS | {"metadata"}
_LITERAL = re.compile(r"true|false|null|-?nan|-?inf(inity)?", re.IGNORECASE)
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)([eE][+-]?\d{1,4})?")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\.", re.DOTALL)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_SPARE = (
    b"?", b"0", b"{}", b"[" * 5000, b'{"event":"x"}', b'{"event":"Media"}',
    b'{"event":"Media","perspective":"Conference"}',
    b'{"event":"Media","perspective":"Conference","sequenceId":1,"media":"?"}',
    b'{"event":"Start","contentType":"audio/opus"}',
)  # fmt: skip
"""Messages of every kind of error, for those whose kind would be another without their own words."""


class WebSocketScrubber:
    """Scrubs the messages of one connection, in their order."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._payloads = Payloads()

    def message(self, data: bytes) -> bytes:
        """Return a message without words, numbers and audio, of which the listener makes the same."""
        try:
            event = parse(data)
        except BadMessage:
            event = None
        track, number = (event.perspective, event.seq) if isinstance(event, Media | EmptyMedia) else ("", 0)
        sequence = str(number).encode()

        def value(key: bytes, written: bytes, string: bool) -> bytes:
            if string and _plain(key) == "media":
                return self._media(written, track, number)
            if written == sequence and _plain(key) == "sequenceid":
                return written
            return self._value(_plain(key), written, string)

        known, heard = len(self._pseudonyms), len(self._payloads)
        mark = _BYTE_ORDER_MARK if data.startswith(_BYTE_ORDER_MARK) else b""
        scrubbed = mark + replace_values(data.removeprefix(mark), value, self._key)
        wanted = outcome(data)
        if outcome(scrubbed) == wanted:
            return scrubbed
        self._pseudonyms.forget(known)
        self._payloads.forget(heard)
        return next((spare for spare in (b"?" * len(data), *_SPARE) if outcome(spare) == wanted), b"?")

    def _media(self, written: bytes, track: str, number: int) -> bytes:
        try:
            payload = base64.b64decode(written.replace(b"\\/", b"/"), validate=True)
        except binascii.Error:
            return self._value("", written, True)
        return base64.b64encode(self._payloads.replace(payload, track, number)) if payload else b""

    def _key(self, key: bytes) -> bytes:
        text = key.decode(errors="surrogateescape")
        known = _plain(key) in _FIELDS or meaning(text)
        return key if known and text.isascii() else self._written(text).encode(errors="surrogateescape")

    def _value(self, field: str, written: bytes, string: bool) -> bytes:
        text = written.decode(errors="surrogateescape")
        kept = _KEPT.get(field)
        if kept and kept.fullmatch(text):
            return written
        if not string:
            if _LITERAL.fullmatch(text):
                return written
            if number := _NUMBER.fullmatch(text):
                return (self._pseudonyms.text(number[1]) + (number[2] or "")).encode()
        return self._written(text).encode(errors="surrogateescape")

    def _written(self, text: str) -> str:
        """Return a string of JSON with other words, and its escapes."""
        pieces, at = [], 0
        for escape in _ESCAPE.finditer(text):
            pieces += [self._pseudonyms.text(text[at : escape.start()]), _escape(escape)]
            at = escape.end()
        return "".join([*pieces, self._pseudonyms.text(text[at:])])


def outcome(data: bytes) -> object:
    """Return what the listener makes of a message, without its words."""
    state = CallState()
    try:
        result: object = state.receive(data, 0.0)
    except ProtocolError as error:
        return error.reason
    repaired = result.reasons if isinstance(result, Repaired) else ()
    inner = result.result if isinstance(result, Repaired) else result
    if isinstance(inner, Ignored):
        event = parse(data) if inner.seconds else None
        media = (event.perspective, event.seq) if type(event) is Media else ()
        return inner.reason, inner.seconds, media, repaired
    return type(inner).__name__, repaired, state.announced


def _plain(key: bytes) -> str:
    return key.decode(errors="replace").replace("_", "").lower()


def _escape(found: re.Match[str]) -> str:
    """Return an escape of the same kind: half of a pair, a control character, or any other character."""
    if found[1] is None:
        return found[0]
    code = int(found[1], 16)
    if code < 0x20:
        return found[0]
    return "\\ud83d" if 0xD800 <= code < 0xDC00 else "\\ude00" if 0xDC00 <= code < 0xE000 else "\\u0078"
