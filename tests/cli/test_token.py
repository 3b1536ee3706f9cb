"""``flowcore token``, as its users call it."""

from __future__ import annotations

import time
from urllib.parse import parse_qsl, urlsplit

import pytest

from nodes.captions.access import allows_token

SECRET = "0123456789abcdef"


@pytest.fixture
def token(flowcore, monkeypatch):
    def run(*arguments, **environ):
        monkeypatch.delenv("VIEWER_KEY", raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return flowcore("token", *arguments)

    return run


def test_the_link_opens_its_call_for_as_long_as_was_said(token):
    made = token("2026 X&1", "--for", "30min", "--url", "https://x.example/", VIEWER_KEY=SECRET)
    parts = urlsplit(made.out.strip())
    query = dict(parse_qsl(parts.query))
    assert (parts.scheme, parts.netloc, parts.path, query["callId"]) == ("https", "x.example", "/client", "2026 X&1")
    now = time.time()
    assert allows_token(SECRET, "2026 x&1", query["token"], now + 29 * 60)
    assert not allows_token(SECRET, "2026 x&1", query["token"], now + 31 * 60)


@pytest.mark.parametrize(
    ("arguments", "environ", "says"),
    [
        ((), {}, "VIEWER_KEY is not set"),
        ((), {"VIEWER_KEY": "short"}, "VIEWER_KEY is shorter than 16 characters"),
        (("--secret", "OTHER"), {"VIEWER_KEY": SECRET}, "OTHER is not set"),
        (("--for", "30"), {"VIEWER_KEY": SECRET}, "like 120ms"),
        (("--url", "x.example"), {"VIEWER_KEY": SECRET}, "not an address like https://"),
        (("--url", "https://x.example/path"), {"VIEWER_KEY": SECRET}, "not an address like https://"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(token, arguments, environ, says):
    made = token("one", *arguments, **environ)
    assert (made.code, made.out) == (2, "")
    assert says in made.err
    assert SECRET not in made.err


@pytest.mark.parametrize("call", ["", " "])
def test_a_link_to_no_call_is_not_made(token, call):
    made = token(call, VIEWER_KEY=SECRET)
    assert (made.code, made.out) == (2, "")
    assert "give the id of a call" in made.err
