"""Search of a call for its secret: RingCX does not document how it delivers the secret, so the whole call is searched.

The secret is found by its value, compared in constant time, and reported only by the name of its place:
``header.Authorization``, ``query.secret``, ``Start.metadata.secret``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import parse_qsl, unquote

import msgspec
from pydantic import AfterValidator, SecretStr
from pydantic_core import PydanticKnownError
from websockets.http11 import Request

MAX_DEPTH = 8
"""Nested objects that are searched; the size of a message needs no further bound, as it is at most 64 KiB."""

MASK = "***"

MIN_LENGTH, MAX_LENGTH = 8, 200
"""Characters of a secret: shorter ones can be guessed, longer ones would be cut where a value is kept."""

SENSITIVE_NAME = re.compile("secret|token|password|assertion|authorization|credential", re.IGNORECASE)
"""Matches names of fields whose values must neither be shown nor kept."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


def _check_length(secret: SecretStr) -> SecretStr:
    # These errors do not quote the value.
    if len(secret) < MIN_LENGTH:
        raise PydanticKnownError("string_too_short", {"min_length": MIN_LENGTH})
    if len(secret) > MAX_LENGTH:
        raise PydanticKnownError("string_too_long", {"max_length": MAX_LENGTH})
    return secret


Secret = Annotated[SecretStr, AfterValidator(_check_length)]
"""A secret in a config, which is never printed."""


class Credentials:
    """Searches requests, messages and values for the secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def find_in_request(self, request: Request) -> str:
        """Return the name of the secret's place in an upgrade request, or an empty string."""
        return self._first(_of_request(request))

    def find_in_message(self, text: bytes) -> str:
        """Return the name of the secret's place in a message, or an empty string. Accepts any bytes."""
        try:
            message = _decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""
        if not isinstance(message, dict):
            return ""
        event = message.get("event")
        return self._first(_of_message(message, event[:32] if isinstance(event, str) else "message", MAX_DEPTH))

    def occur_in(self, value: str) -> bool:
        """Return whether a value contains the secret, so that it must not be kept."""
        return self._secret in value.encode(errors="replace") or self._is(value)

    def hide(self, data: bytes) -> bytes:
        """Return the bytes without the secret, also as a string of JSON, with a star for each of its own."""
        for written in (_encode(self._secret.decode())[1:-1], self._secret):
            data = data.replace(written, b"*" * len(written))
        return data

    def _is(self, value: str) -> bool:
        return any(hmac.compare_digest(piece.encode(errors="replace"), self._secret) for piece in _pieces(value))

    def _first(self, values: Iterator[tuple[str, str]]) -> str:
        place = next((place for place, value in values if self._is(value)), "")
        return place.replace(self._secret.decode(), MASK)  # the client chose this name

    @staticmethod
    def are_presented(request: Request) -> bool:
        """Return whether a request has a header or parameter for credentials, so that it can be judged before Start."""
        pairs = [*request.headers.raw_items(), *parse_qsl(request.path.partition("?")[2])]
        return "Authorization" in request.headers or any("secret" in name.lower() for name, _ in pairs)


def _of_request(request: Request) -> Iterator[tuple[str, str]]:
    for name, value in request.headers.raw_items():
        yield f"header.{name}", value
    query = request.path.partition("?")[2]
    for name, value in parse_qsl(query):
        yield f"query.{name}", value
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        yield f"query.{unquote(name)}", unquote(value)  # a literal plus sign


def _of_message(value: object, place: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict) and depth:
        for key, inner in value.items():
            yield from _of_message(inner, f"{place}.{key[:32]}", depth - 1)
    elif isinstance(value, list) and depth:
        for inner in value:
            yield from _of_message(inner, place, depth - 1)


def _pieces(value: str) -> Iterator[str]:
    """Yield a value and its parts: ``Bearer …``, ``Basic …``, ``name=…; name=…``, ``a, b``."""
    for piece in (value, *map(str.strip, value.replace(";", ",").split(","))):
        yield piece
        yield piece.partition("=")[2]
        scheme, _, rest = piece.partition(" ")
        yield rest
        if scheme.lower() == "basic":
            try:
                decoded = base64.b64decode(rest, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                continue
            yield decoded
            yield from decoded.split(":", 1)
