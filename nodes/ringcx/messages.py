"""The messages of RingCX call streaming "AgentSession 1.0.0", and their parser.

`parse` turns one message into an event. It raises `BadMessage` and nothing else, whatever the bytes. A message that is
almost JSON is repaired: a comma before a closing bracket or another comma, NaN, infinity and numbers beyond all ranges,
control characters in a string, a byte order mark before the text and NUL characters behind it.

Two dialects are in use, so events are matched without case, and fields without case and underscores: ``callId`` and
``call_id``, ``Start`` and ``START``. The parser neither knows nor needs the place of the secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from flowcore import BadMessage
from nodes.audio.g711 import RATE
from nodes.ringcx.call_attributes import MAX_TEXT

TRACKS = {"Participant": "agent", "Conference": "customer"}
"""RingCX's perspectives and our tracks. The conference is the caller and every other leg of the call."""
PERSPECTIVES = {track: perspective for perspective, track in TRACKS.items()}

_KNOWN_NAMES = {
    "callid": "call_id",
    "uii": "call_id",
    "dialogid": "dialog_id",
    "sessionid": "session_id",
    "ani": "ani",
    "callerani": "ani",
    "dnis": "dnis",
    "accountid": "account_id",
    "evaccountid": "account_id",
    "subaccountid": "sub_account_id",
    "evsubaccountid": "sub_account_id",
    "rcaccountid": "rc_account_id",
    "rcofficeaccountid": "rc_account_id",
    "ringcentralofficeaccountid": "rc_account_id",
    "agentid": "agent_id",
    "producttype": "product_type",
    "productid": "product_id",
}


class Connected(msgspec.Struct, frozen=True):
    """The first message of a connection."""


class Start(msgspec.Struct, frozen=True):
    """The call's metadata: ``attributes`` under this project's names, and the announced format."""

    attributes: dict[str, str]
    encoding: str
    rate: str


class Media(msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="Media"):
    """One party's audio, in RingCX's spelling: one decode checks JSON, types and base64 (0.27 us)."""

    perspective: Literal["Participant", "Conference"]
    seq: Annotated[int, msgspec.Meta(ge=0, le=1 << 62)] = msgspec.field(name="sequenceId")
    data: Annotated[bytes, msgspec.Meta(min_length=1)] = msgspec.field(name="media")


class EmptyMedia(msgspec.Struct, frozen=True):
    """Media without audio, of a party on hold."""

    perspective: str
    seq: int


class Stop(msgspec.Struct, frozen=True):
    """The end of one party's audio; RingCX does not say whose. ``duration`` as announced, presumably in seconds."""

    duration: float | None = None


class Unknown(msgspec.Struct, frozen=True):
    """A valid message with an unknown event: the protocol may grow."""


Event = Connected | Start | Media | EmptyMedia | Stop | Unknown

decode_media = msgspec.json.Decoder(Media, strict=False).decode  # not strict: sequenceId may be "1" or 1
_decode = msgspec.json.Decoder().decode
_decode_base64 = msgspec.json.Decoder(bytes).decode
_encode = msgspec.json.encode

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_REPAIRABLE = re.compile(
    rb"""(?P<string>"(?:[^"\\]|\\.)*+"?)
    | (?P<comma>,)(?=\s*+[,}\]])
    | -?\b(?i:nan|inf(?:inity)?)\b  # as Python, JavaScript and C print them
    | -?\b\d++(?:\.\d++)?[eE]\+?\d{3,}+ | -?\b\d{300,}+  # 64 bits hold numbers below 2e308
    """,
    re.DOTALL | re.VERBOSE,
)
_CONTROL = re.compile(rb"[\0-\x1f]")
_FORMAT_FIELDS = ("contenttype", "audiocontenttype", "encoding", "sampleratehertz", "samplerate")

NOT_MEDIA = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The exceptions of `decode_media` for a message that is not RingCX's usual Media."""


def parse(text: bytes) -> Event:
    """Parse one message. Raises `BadMessage` if it is invalid."""
    return parse_and_repair(text)[0]


def parse_and_repair(text: bytes) -> tuple[Event, tuple[str, ...]]:
    """Parse one message; return also the names of its errors that were repaired. Raises `BadMessage`."""
    try:
        return decode_media(text), ()
    except NOT_MEDIA:
        pass
    try:
        return _event(_decode(text))
    except RecursionError:
        raise BadMessage("nested_too_deep") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    repaired, repairs = _repair(text)
    try:
        event, others = _event(_decode(repaired))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, BadMessage):
        raise BadMessage("not_json") from None
    return event, repairs + others


def _repair(text: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a text without the usual errors of hand-made JSON, and their names."""
    repairs: dict[str, None] = {}  # a set that keeps its order

    def replace(found: re.Match[bytes]) -> bytes:
        if found["string"]:
            string, controls = _CONTROL.subn(b" ", found["string"])
            if controls:
                repairs["control_character"] = None
            return string
        repairs["trailing_comma" if found["comma"] else "not_a_number"] = None
        return b"" if found["comma"] else b"null"

    if text.startswith(_BYTE_ORDER_MARK):
        repairs["byte_order_mark"] = None
        text = text.removeprefix(_BYTE_ORDER_MARK)
    if text.endswith(b"\0"):
        repairs["trailing_nul"] = None
        text = text.rstrip(b"\0")
    return _REPAIRABLE.sub(replace, text), tuple(repairs)


def _event(message: object) -> tuple[Event, tuple[str, ...]]:
    """Return the event of a decoded message, and the names of repaired errors. Raises `BadMessage`."""
    if not isinstance(message, dict):
        raise BadMessage("not_an_object")
    fields = {_plain(key): value for key, value in message.items()}
    event = fields.pop("event", None)
    if not isinstance(event, str):
        raise BadMessage("no_event")
    metadata = fields.pop("metadata", None)
    if isinstance(metadata, dict):
        fields.update((_plain(key), value) for key, value in metadata.items())
    match event.lower():
        case "media":
            return _media(fields), ()
        case "start":
            return _start(fields)
        case "stop":
            return Stop(_number(fields.get("duration"))), ()
        case "connected":
            return Connected(), ()
    return Unknown(), ()


def _start(fields: Mapping[str, Any]) -> tuple[Start, tuple[str, ...]]:
    given = {name: fields[name] for name in _FORMAT_FIELDS if fields.get(name) not in (None, "")}
    encoding = next((given[name] for name in _FORMAT_FIELDS[:3] if name in given), "")
    rate = next((given[name] for name in _FORMAT_FIELDS[3:] if name in given), RATE)
    empty = any(name in fields and name not in given for name in _FORMAT_FIELDS)
    start = Start(attributes(fields.items(), "start"), _text(encoding)[:MAX_TEXT], _text(rate)[:MAX_TEXT])
    return start, ("empty_format",) * empty


def _media(fields: Mapping[str, Any]) -> Media | EmptyMedia:
    perspective = fields.get("perspective")
    perspective = perspective.capitalize() if isinstance(perspective, str) else perspective
    if perspective not in ("Participant", "Conference"):
        raise BadMessage("wrong_perspective")
    seq = fields.get("sequenceid")
    if isinstance(seq, str) and seq.isascii() and seq.isdecimal() and len(seq) <= 18:
        seq = int(seq)
    if type(seq) is not int or not 0 <= seq <= 1 << 62:
        raise BadMessage("wrong_sequence")
    try:
        data = _decode_base64(_encode(fields.get("media")))
    except msgspec.MsgspecError:
        raise BadMessage("wrong_base64") from None
    if not data:
        return EmptyMedia(perspective, seq)
    return Media(perspective, seq, data)  # type: ignore[arg-type]  # checked above


def attributes(pairs: Iterable[tuple[str, object]], origin: str) -> dict[str, str]:
    """Return a call's attributes as text: known names become ours, others keep theirs behind ``origin``.

    Names are matched by their letters and digits, without case, because their spelling in the query is not documented.
    """
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for key, value in pairs:
        if isinstance(value, (str, int, float)):
            name = _KNOWN_NAMES.get("".join(filter(str.isalnum, key)).lower())
            if name:
                ours[name] = _text(value)
            else:
                theirs[_text(f"{origin}.{key}")] = _text(value)
    return theirs | ours


def _plain(key: str) -> str:
    return key.replace("_", "").lower()


def _text(value: object) -> str:
    # Raw bytes of a query have become lone surrogates, which neither terminals nor files accept.
    return str(value).encode(errors="replace").decode()


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:  # JSON has integers of any length
        return None
