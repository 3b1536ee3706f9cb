"""Masking of secrets in the messages of a capture. Every message without one stays as it came, byte for byte.

A secret is one that the config knows, wherever it stands, and every value under a name that tells of one. The request
is masked as in `nodes.ringcx.redact`: RingCX does not document where it sends the secret, and most requests carry it.
Audio of a party that an operator paused or muted becomes silence, as it does for the graph.
"""

from __future__ import annotations

import json
from collections.abc import Container

import msgspec

from flowcore import BadMessage
from nodes.ringcx.credentials import MASK, SENSITIVE_NAME, Credentials
from nodes.ringcx.json_text import replace_values
from nodes.ringcx.messages import NOT_MEDIA, TRACKS, Media, parse

SILENCE = b"\xff"
"""A silent sample in mu-law."""

LONGEST_ID = 40
"""Characters of a value that is no audio: as base64 that would be 4 ms."""


class _UsualMedia(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="event", tag="Media"):
    """Media without further fields, so that no name in it tells of a secret."""

    perspective: str
    sequenceId: int | str  # noqa: N815  # RingCX's name
    media: str


_decode_usual = msgspec.json.Decoder(_UsualMedia).decode


class WebSocketMask:
    """Masks messages of one connection over WebSocket."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials

    def message(self, data: bytes, silenced: Container[str]) -> bytes:
        """Return a message to be written; audio of the ``silenced`` tracks is silent in it."""
        if silenced:
            data = _silence(data, silenced)
        try:
            _decode_usual(data)
        except NOT_MEDIA:
            data = replace_values(data, self._value, self._key)
        return hide(data, self._credentials)

    def _value(self, key: bytes, value: bytes, string: bool) -> bytes:
        if SENSITIVE_NAME.search(_plain(key)) and value not in (b"null", b"true", b"false"):
            return MASK.encode() if string else b"0"
        if self._credentials is not None and self._credentials.occur_in(_plain(value)):
            return MASK.encode()
        return value

    def _key(self, key: bytes) -> bytes:
        known = self._credentials is not None and self._credentials.occur_in(_plain(key))
        return MASK.encode() if known else key


def hide(data: bytes, credentials: Credentials | None) -> bytes:
    """Return the bytes without the secret, wherever it stands in them; their length stays."""
    return data if credentials is None else credentials.hide(data)


def _plain(written: bytes) -> str:
    """Return a string of JSON without its escapes, as far as it can be read."""
    text = written.decode(errors="replace")
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _silence(data: bytes, silenced: Container[str]) -> bytes:
    """Return a message in which the tracks are silent. What cannot be read may be audio, and is hidden."""
    try:
        event = parse(data)
    except BadMessage:
        return replace_values(data, lambda key, value, string: _hidden_if_long(value))
    if type(event) is not Media or TRACKS[event.perspective] not in silenced:
        return data
    silent = msgspec.json.encode(SILENCE * len(event.data))[1:-1]
    return replace_values(data, lambda key, value, string: silent if len(value) == len(silent) > 3 else value)


def _hidden_if_long(value: bytes) -> bytes:
    return b"*" * len(value) if len(value) > LONGEST_ID else value
