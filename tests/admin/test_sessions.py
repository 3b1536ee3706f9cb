"""Cookies of browsers that have signed in."""

import pytest

from flowcore.admin import sessions
from flowcore.admin.sessions import LIFETIME, Sessions

TOKENS = {"admin": "t0ken-MARKER-4711-of-32-characters", "read": "r3ad-MARKER-4711-of-32-characters"}
NOW = 1_800_000_000.0


def test_a_session_has_the_rights_of_the_token_that_signed_in_until_it_is_over():
    made = Sessions(TOKENS)
    for name in TOKENS:
        cookie = made.begin(name, NOW)
        assert made.token_of(cookie, NOW) == made.token_of(cookie, NOW + LIFETIME - 1) == name
        assert made.token_of(cookie, NOW + LIFETIME) == ""


def test_a_session_survives_a_restart_and_ends_when_its_token_is_changed():
    cookie = Sessions(TOKENS).begin("admin", NOW)
    assert Sessions(TOKENS).token_of(cookie, NOW) == "admin"
    assert Sessions({**TOKENS, "admin": "another-one-of-16-characters"}).token_of(cookie, NOW) == ""
    assert Sessions({"read": TOKENS["read"]}).token_of(cookie, NOW) == ""


def test_a_session_that_was_signed_out_is_over_and_the_memory_of_that_is_bounded(monkeypatch):
    monkeypatch.setattr(sessions, "MAX_ENDED", 2)
    made = Sessions(TOKENS)
    cookies = [made.begin("admin", NOW) for _ in range(3)]
    made.end(cookies[0])
    assert [made.token_of(cookie, NOW) for cookie in cookies] == ["", "admin", "admin"]
    for cookie in cookies[1:]:
        made.end(cookie)
    assert [made.token_of(cookie, NOW) for cookie in cookies] == ["admin", "", ""]


def test_no_changed_cookie_is_taken():
    made = Sessions(TOKENS)
    cookie = made.begin("read", NOW)
    name, token_id, expires, signature = cookie.split(".")
    for wrong in (
        "",
        "admin",
        "read.x",
        f"admin.{token_id}.{expires}.{signature}",
        f"{name}.{token_id}.{int(expires) + 1}.{signature}",
        f"{name}.x{token_id}.{expires}.{signature}",
        f"{name}.{token_id}.{expires}.{signature[:-1]}",
        f"{name}.{token_id}.{expires}.",
        f"\u00e9.{token_id}.{expires}.{signature}\u00e9",
    ):
        assert made.token_of(wrong, NOW) == ""


def test_neither_the_cookie_nor_its_name_shows_a_token():
    made = Sessions(TOKENS)
    for shown in (made.cookie, made.begin("admin", NOW), made.begin("read", NOW)):
        assert "MARKER" not in shown


@pytest.mark.parametrize("tokens", [TOKENS, {"admin": "another-one-of-16-characters"}, {}])
def test_runs_with_other_tokens_on_one_machine_have_other_cookies(tokens):
    others = [Sessions({"admin": f"number-{number}-of-16-characters"}).cookie for number in range(3)]
    assert Sessions(tokens).cookie not in others
    assert Sessions(tokens).cookie.isascii()
