"""The secret is found wherever it is, and nothing else is taken for it."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request

from nodes.ringcx.credentials import Credentials

SECRET = "s3cret/of+ours=42"
CREDENTIALS = Credentials(SECRET)
BASIC = base64.b64encode(f"ringcx:{SECRET}".encode()).decode()


def request(path: str = "/", *headers: tuple[str, str]) -> Request:
    return Request(path, Headers(headers))


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        (request("/", ("Authorization", SECRET)), "header.Authorization"),
        (request("/", ("authorization", f"Bearer {SECRET}")), "header.authorization"),
        (request("/", ("Authorization", f"Basic {BASIC}")), "header.Authorization"),
        (request("/", ("Authorization", f"Basic {SECRET}")), "header.Authorization"),
        (request("/", ("X-RingCX-Secret", SECRET)), "header.X-RingCX-Secret"),
        (request("/", ("Cookie", f"a=b; secret={SECRET}")), "header.Cookie"),
        (request("/", ("Sec-WebSocket-Protocol", f"chat, {SECRET}")), "header.Sec-WebSocket-Protocol"),
        (request("/?secret=s3cret%2Fof%2Bours%3D42"), "query.secret"),
        (request("/?a=b&to%20ken=s3cret/of+ours=42"), "query.to ken"),
    ],
)
def test_found_in_a_request(asked: Request, place: str) -> None:
    assert CREDENTIALS.find_in_request(asked) == place


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ({"event": "Connected", "secret": SECRET}, "Connected.secret"),
        ({"event": "Start", "metadata": {"secret": SECRET}}, "Start.metadata.secret"),
        ({"event": "START", "metadata": {"auth": [{"token": f"Bearer {SECRET}"}]}}, "START.metadata.auth.token"),
        ({"event": "Media", "media": "AAAA", "key": SECRET}, "Media.key"),
        ({"secret": SECRET}, "message.secret"),
        ({"event": "Start", SECRET: SECRET}, "Start.***"),
    ],
)
def test_found_in_a_message(message: object, place: str) -> None:
    assert CREDENTIALS.find_in_message(json.dumps(message).encode()) == place


@pytest.mark.parametrize(
    "asked",
    [
        request(),
        request(f"/?{SECRET}"),
        request(f"/?{SECRET}=x"),
        request(f"/?secret={SECRET}x"),
        request("/", ("Authorization", f"Bearer {SECRET[:-1]}")),
        request("/", ("Authorization", f"Bearer {SECRET.upper()}")),
        request(f"/{SECRET}"),
    ],
)
def test_not_found_where_it_is_not(asked: Request) -> None:
    assert CREDENTIALS.find_in_request(asked) == ""


@pytest.mark.parametrize(
    "text", [b"", b"x", b"\xff", b"[]", b'"' + SECRET.encode() + b'"', b"[" * 60_000, b'{"a":' * 10_000, b'{"event":1}']
)
def test_no_message_is_too_much(text: bytes) -> None:
    assert CREDENTIALS.find_in_message(text) == ""


def test_what_lies_too_deep_is_not_looked_at() -> None:
    message: object = SECRET
    for _ in range(20):
        message = {"a": message}
    assert CREDENTIALS.find_in_message(json.dumps(message).encode()) == ""


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (request("/", ("Authorization", "Bearer x")), True),
        (request("/?secret=x"), True),
        (request("/", ("X-Client-Secret", "x")), True),
        (request("/", ("Sec-WebSocket-Key", "x"), ("Cookie", "a=b")), False),
        (request("/?callId=1&sessionId=2&token=x"), False),  # might be anything: Start will tell
    ],
)
def test_what_shows_credentials_that_can_be_nothing_else(asked: Request, told: bool) -> None:
    assert Credentials.are_presented(asked) is told


@given(st.text(max_size=40), st.text(max_size=40))
@pytest.mark.slow
def test_whatever_holds_it_is_masked_and_only_a_piece_of_its_own_counts(before: str, after: str) -> None:
    text = f"{before}{SECRET}{after}"
    assert CREDENTIALS.occur_in(text)
    if (before + after).isalnum():
        assert CREDENTIALS.find_in_message(json.dumps({"event": "Start", "x": text}).encode()) == ""


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40))
def test_any_secret_is_found_as_it_is_and_behind_bearer(secret: str) -> None:
    for said in (secret, f"Bearer {secret}"):
        found = Credentials(secret).find_in_message(json.dumps({"event": "Start", "metadata": {"x": said}}).encode())
        assert found == "Start.metadata.x".replace(secret, "***")
