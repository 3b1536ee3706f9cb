"""Redaction of a call before it is shown or recorded: every value that could be its secret is masked.

RingCX does not document how it delivers the secret, so masking fields with telling names is not enough: values of
known harmless fields are kept, and all others are masked. A secret that is known is masked wherever it occurs.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from flowcore.diagnostics import counted
from nodes.ringcx.credentials import MASK, Credentials
from nodes.ringcx.messages import attributes

SAFE_HEADERS = {
    "accept", "accept-encoding", "cache-control", "connection", "content-length", "content-type",
    "grpc-accept-encoding", "grpc-encoding", "grpc-timeout", "pragma", "sec-websocket-extensions",
    "sec-websocket-protocol", "sec-websocket-version", "te", "upgrade", "user-agent", "x-forwarded-proto",
}  # fmt: skip
"""Headers whose values are harmless; others may be secret or, like Host, identify the receiver."""

SAFE_FIELDS = {
    "event", "protocol", "version", "contenttype", "audiocontenttype", "encoding", "sampleratehertz", "samplerate",
    "perspective", "sequenceid", "media", "duration", "endtime",
}  # fmt: skip
"""Message fields whose values are harmless, beside the ids and numbers of the call that `attributes` knows."""

MAX_NAME = 64
"""Characters of a field's name that are kept."""

_decode = msgspec.json.Decoder().decode


def meaning(name: str) -> str:
    """Return this project's name of a query parameter or field of Start; empty for an unknown one."""
    known = next(iter(attributes([(name, "")], "?")))
    return "" if known.startswith("?") else known


def summarize(value: object) -> str:
    """Describe the type and length of a value, without the value."""
    match value:
        case None | bool():
            return json.dumps(value)
        case str():
            kind = "digit" if value.isascii() and value.isdecimal() else "character"
            return counted(len(value), kind) if value else "empty"
        case int() | float():
            return f"number of {counted(len(str(value).lstrip('-')), 'digit')}"
        case dict():
            return f"object of {len(value)}"
        case _:
            return "list"


def query_pairs(path: str) -> list[tuple[str, str]]:
    """Return the names and values of a request's query. A lone token may be a value, so its name is empty."""
    pairs = parse_qsl(path.partition("?")[2], keep_blank_values=True)
    return [(name, value) if value or meaning(name) else ("", name) for name, value in pairs]


class Redactor:
    """Masks requests and messages. ``credentials`` knows the secret, if it was given."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials

    def path(self, path: str) -> str:
        """Return a request's path; in its query, only values of known attributes are kept."""
        kept = [(self.text(name), self.text(value) if meaning(name) else MASK) for name, value in query_pairs(path)]
        path, mark, _ = path.partition("?")
        return self.text(path) + mark + urlencode(kept, safe="*")

    def header(self, name: str, value: str) -> str:
        """Return a header's value, or the mask."""
        return self.text(value) if name.lower() in SAFE_HEADERS else MASK

    def text(self, text: str) -> str:
        """Return the text, or the mask if it contains the secret."""
        return MASK if self._credentials is not None and self._credentials.occur_in(text) else text

    def message(self, data: bytes) -> str:
        """Return a redacted message, encoded anew, so that bytes that a parser skips are gone."""
        try:
            message = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return "?"
        redacted = self._fields(message) if isinstance(message, dict) else _mask(message)
        return json.dumps(redacted, separators=(",", ":"))

    def _fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {self.text(name[:MAX_NAME]): self._field(name, value) for name, value in fields.items()}

    def _field(self, name: str, value: object) -> object:
        plain = name.replace("_", "").lower()
        if plain == "metadata" and isinstance(value, dict):
            return self._fields(value)
        if (plain not in SAFE_FIELDS and not meaning(name)) or isinstance(value, (dict, list)):
            return _mask(value)
        if isinstance(value, str) and plain != "media":
            return self.text(value)
        return value


def _mask(value: object) -> object:
    """Return an empty value of the same type."""
    match value:
        case None | bool():
            return value
        case int() | float():
            return 0
        case str():
            return MASK
        case _:
            return type(value)()
