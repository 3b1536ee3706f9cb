"""What of a call may be kept or shown: never what could be its secret.

Nobody published how RingCX delivers the secret, so it is not enough to hide what is called so: what is known to be
something else is kept, and all the rest is masked. If the secret itself is known, it is masked wherever it stands.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from nodes.ringcx.credentials import Credentials
from nodes.ringcx.messages import attributes

MASK = "***"
NO_JSON = "?"

HEADERS = {
    "accept", "accept-encoding", "cache-control", "connection", "content-length", "pragma", "sec-websocket-extensions",
    "sec-websocket-protocol", "sec-websocket-version", "upgrade", "user-agent", "x-forwarded-proto",
}  # fmt: skip
"""Headers whose values are no secret; the others', such as Host, say who you are."""

FIELDS = {
    "event", "protocol", "version", "contenttype", "audiocontenttype", "encoding", "sampleratehertz", "samplerate",
    "perspective", "sequenceid", "media", "duration", "endtime",
}  # fmt: skip
"""Fields of messages that are no secret, beside the ids and numbers of the call that `attributes` knows."""

NAME_LIMIT = 64
"""Characters of a field's name that are kept."""

_decode = msgspec.json.Decoder().decode


def meaning(name: str) -> str:
    """What this project calls a query parameter or a field of Start; empty when it is not known."""
    known = next(iter(attributes([(name, "")], "?")))
    return "" if known.startswith("?") else known


def shape(value: object) -> str:
    """What a value looks like, without the value."""
    match value:
        case None | bool():
            return json.dumps(value)
        case str():
            kind = "digit" if value.isascii() and value.isdecimal() else "character"
            return _several(len(value), kind) if value else "empty"
        case int() | float():
            return f"number of {_several(len(str(value).lstrip('-')), 'digit')}"
        case dict():
            return f"object of {len(value)}"
        case _:
            return "list"


def asked(path: str) -> list[tuple[str, str]]:
    """The names and values of a request's query; what stands there alone may be a value, so it has no name."""
    pairs = parse_qsl(path.partition("?")[2], keep_blank_values=True)
    return [(name, value) if value or meaning(name) else ("", name) for name, value in pairs]


class Redactor:
    """``credentials`` knows the secret, if anybody does."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials

    def path(self, path: str) -> str:
        """A request's path; of its query, the values that are known to be no secret."""
        kept = [(self.text(name), self.text(value) if meaning(name) else MASK) for name, value in asked(path)]
        path, mark, _ = path.partition("?")
        return self.text(path) + mark + urlencode(kept, safe="*")

    def header(self, name: str, value: str) -> str:
        """A header's value, or the mask."""
        return self.text(value) if name.lower() in HEADERS else MASK

    def text(self, text: str) -> str:
        """A text that is kept, unless the secret is in it."""
        return MASK if self._credentials is not None and self._credentials.occur_in(text) else text

    def message(self, data: bytes) -> str:
        """A message; written anew, so that nothing is in it that a parser leaves out."""
        try:
            message = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return NO_JSON
        veiled = self._fields(message) if isinstance(message, dict) else _masked(message)
        return json.dumps(veiled, separators=(",", ":"))

    def _fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {self.text(name[:NAME_LIMIT]): self._field(name, value) for name, value in fields.items()}

    def _field(self, name: str, value: object) -> object:
        plain = name.replace("_", "").lower()
        if plain == "metadata" and isinstance(value, dict):
            return self._fields(value)
        if (plain not in FIELDS and not meaning(name)) or isinstance(value, (dict, list)):
            return _masked(value)
        if isinstance(value, str) and plain != "media":
            return self.text(value)
        return value


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _masked(value: object) -> object:
    """The same kind of value, which says nothing."""
    match value:
        case None | bool():
            return value
        case int() | float():
            return 0
        case str():
            return MASK
        case _:
            return type(value)()
