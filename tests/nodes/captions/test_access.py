import base64
import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers

from nodes.captions.access import allows_key, allows_token, is_local, mint

SECRET = "a secret of viewers"
NOON = 1_800_000_000


def test_a_token_is_what_its_description_says():
    digest = hmac.new(SECRET.encode(), b"flowcore captions 1\n1800000060\ncall-7", hashlib.sha256).digest()
    assert mint(SECRET, " Call-7", NOON + 60) == "1800000060." + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def test_the_page_of_docs_makes_the_same_token():
    page = (Path(__file__).parents[3] / "docs" / "captions.md").read_text()
    names = {"base64": base64, "hmac": hmac, "secret": SECRET, "expires": NOON + 60, "call_id": "Call-7"}
    exec(page.partition("```python\n")[2].partition("```")[0], names)
    assert names["token"] == mint(SECRET, "call-7", NOON + 60)


def test_a_token_opens_its_call_until_it_expires():
    token = mint(SECRET, "call-7", NOON + 60)
    assert allows_token(SECRET, "CALL-7 ", token, NOON)
    assert allows_token(SECRET, "call-7", token, NOON + 59.9)
    assert not allows_token(SECRET, "call-7", token, NOON + 60)
    assert not allows_token(SECRET, "call-8", token, NOON)
    assert not allows_token(SECRET + "x", "call-7", token, NOON)


@given(st.data())
def test_no_change_of_a_token_is_let_in(data):
    token = mint(SECRET, "call-7", NOON + 60)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.text(max_size=3).filter(lambda text: text != token[place]))
    changed = token[:place] + other + token[place + 1 :]
    assert not allows_token(SECRET, "call-7", changed, NOON)


@pytest.mark.parametrize(
    "token", ["", ".", "x", "1800000060", "1800000060.", "-1.x", "1e9.x", "９９.x", "9" * 5000 + ".x"]
)
def test_what_is_no_token_is_refused(token):
    assert not allows_token(SECRET, "call-7", token, NOON)


@given(st.text().filter(lambda text: text != SECRET))
def test_only_the_key_is_the_key(text):
    assert allows_key(SECRET, SECRET)
    assert not allows_key(SECRET, text)


@pytest.mark.parametrize(
    ("headers", "local"),
    [
        ([("Host", "127.0.0.1:3333")], True),
        ([("Host", "localhost:3333"), ("Origin", "http://localhost:3333")], True),
        ([("Host", "[::1]:3333"), ("Origin", "http://[::1]:3333")], True),
        ([("Host", "127.0.0.1:3333"), ("Origin", "http://localhost")], True),
        ([], False),
        ([("Host", "127.0.0.1"), ("Host", "localhost")], False),
        ([("Host", "evil.example:3333"), ("Origin", "http://evil.example:3333")], False),  # DNS rebinding
        ([("Host", "127.0.0.1:3333"), ("Origin", "https://evil.example")], False),
        ([("Host", "127.0.0.1:3333"), ("Origin", "null")], False),
        ([("Host", "127.0.0.1.evil.example")], False),
        ([("Host", "localhost.evil.example")], False),
        ([("Host", "evil@localhost@evil.example")], False),
        ([("Host", "[::1")], False),
        ([("Host", "x.ngrok.app")], False),
        ([("Host", "127.0.0.1:3333"), ("X-Forwarded-For", "127.0.0.1")], False),
        ([("Host", "127.0.0.1:3333"), ("forwarded", "for=127.0.0.1")], False),
    ],
)
def test_without_a_secret_only_pages_of_this_machine_are_let_in(headers, local):
    assert is_local(Headers(headers)) == local
