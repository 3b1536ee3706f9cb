"""Where in a call its secret is: nobody published how RingCX delivers it, so it is looked for everywhere.

It is found by its value, compared in constant time, and told by the name of its place only: ``header.Authorization``,
``query.secret``, ``Start.metadata.secret``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import parse_qsl, unquote

import msgspec
from pydantic import AfterValidator, SecretStr
from pydantic_core import PydanticKnownError
from websockets.http11 import Request

DEPTH = 8
"""Objects within each other that are looked into; a message is at most 64 KiB, so no more of it needs a bound."""

MASKED = "***"

SHORTEST, LONGEST = 8, 200
"""Characters of a secret: fewer can be guessed, more would be cut where a value is kept."""

_decode = msgspec.json.Decoder().decode


def _has_a_good_length(secret: SecretStr) -> SecretStr:
    # Errors whose texts quote nothing.
    if len(secret) < SHORTEST:
        raise PydanticKnownError("string_too_short", {"min_length": SHORTEST})
    if len(secret) > LONGEST:
        raise PydanticKnownError("string_too_long", {"max_length": LONGEST})
    return secret


Secret = Annotated[SecretStr, AfterValidator(_has_a_good_length)]
"""A secret as a config holds it: never printed."""


class Credentials:
    """What a caller may know: compares whatever it says with the secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def in_request(self, request: Request) -> str:
        """The name of the place in an upgrade request, empty when there is none."""
        return self._first(_of_request(request))

    def in_message(self, text: bytes) -> str:
        """The name of the place in a message, empty when there is none; whatever the bytes."""
        try:
            message = _decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""
        if not isinstance(message, dict):
            return ""
        event = message.get("event")
        return self._first(_of_message(message, event[:32] if isinstance(event, str) else "message", DEPTH))

    def masks(self, value: str) -> bool:
        """Whether a value holds the secret, so that nobody behind the door may see it."""
        return self._secret in value.encode(errors="replace") or self._is(value)

    def _is(self, value: str) -> bool:
        return any(hmac.compare_digest(piece.encode(errors="replace"), self._secret) for piece in _pieces(value))

    def _first(self, said: Iterator[tuple[str, str]]) -> str:
        place = next((place for place, value in said if self._is(value)), "")
        return place.replace(self._secret.decode(), MASKED)  # a name of the caller's choice

    @staticmethod
    def told_by(request: Request) -> bool:
        """Whether a request shows credentials that could be nothing else: then it is known before its Start."""
        named = "Authorization" in request.headers
        return named or any("secret" in name.lower() for name, _ in _named(request))


def _named(request: Request) -> Iterator[tuple[str, str]]:
    yield from request.headers.raw_items()
    yield from parse_qsl(request.path.partition("?")[2])


def _of_request(request: Request) -> Iterator[tuple[str, str]]:
    for name, value in request.headers.raw_items():
        yield f"header.{name}", value
    query = request.path.partition("?")[2]
    for name, value in parse_qsl(query):
        yield f"query.{name}", value
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        yield f"query.{unquote(name)}", unquote(value)  # a plus sign that means itself


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
    """A value, and what it may be made of: ``Bearer …``, ``Basic …``, ``name=…; name=…``, ``a, b``."""
    for piece in (value, *map(str.strip, value.replace(";", ",").split(","))):
        yield piece
        yield piece.partition("=")[2]
        scheme, _, rest = piece.partition(" ")
        yield rest
        if scheme.lower() == "basic":
            try:
                told = base64.b64decode(rest, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                continue
            yield told
            yield from told.split(":", 1)
