"""`flowcore profile` as its users type it, against a platform that speaks real HTTP."""

from __future__ import annotations

import json
import threading
from functools import partial

import pytest

from tests.nodes.ringcx.rest.conftest import SECRET
from tools.fake_platform import JWT, Answer

QUEUE = ("--type", "queue", "--id", "1234")
URL = "wss://calls.example.com:8443"
KEY = ("99990001", "QUEUE", 1234)


@pytest.fixture
def profile(command):
    return partial(command, "profile")


@pytest.mark.slow
def test_profile_is_made_shown_changed_and_deleted(profile, platform):
    code, out, _ = profile("create", *QUEUE, "--url", URL)
    assert code == 0
    assert out.startswith("created the profile of queue 1234 of sub-account 99990001\n")
    assert platform.profiles[KEY] == {
        "productType": "QUEUE",
        "productId": 1234,
        "subAccountId": "99990001",
        "mainAccountId": "99990000",
        "rcAccountId": "123456789",
        "streamingUrl": URL,
        "secret": SECRET,
    }
    code, out, _ = profile("get", *QUEUE)
    assert code == 0
    assert "  streamingUrl   wss://calls.example.com:8443\n" in out
    assert "  secret         ***\n" in out
    code, out, _ = profile("update", *QUEUE, "--url", "wss://other.example.com")
    assert code == 0
    assert platform.profiles[KEY]["streamingUrl"] == "wss://other.example.com"
    code, out, _ = profile("get", *QUEUE, "--json")
    assert json.loads(out)["secret"] == "***"
    assert profile("delete", *QUEUE)[:2] == (0, "deleted the profile of queue 1234 of sub-account 99990001\n")
    code, _, err = profile("get", *QUEUE)
    assert code == 1
    assert "there is no streaming profile for queue 1234 of sub-account 99990001: `flowcore profile create`" in err


def test_one_login_serves_all_runs_of_five_minutes(profile, platform):
    profile("create", *QUEUE, "--url", URL)
    for _ in range(6):
        assert profile("get", *QUEUE)[0] == 0
    assert platform.count("/restapi/oauth/token") == platform.count("/api/auth/login/rc/accesstoken") == 1


def test_token_that_ended_early_is_made_anew_and_the_request_repeated(profile, platform):
    profile("create", *QUEUE, "--url", URL)
    platform.expire()
    assert profile("get", *QUEUE)[0] == 0
    assert platform.count("/api/auth/token/refresh") == 1
    assert platform.count("/restapi/oauth/token") == 1


def test_without_a_good_refresh_token_it_logs_in_again(profile, platform):
    profile("create", *QUEUE, "--url", URL)
    platform.expire()
    platform._refresh.clear()
    assert profile("get", *QUEUE)[0] == 0
    assert platform.count("/restapi/oauth/token") == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(400, {"error": "Bad Request"}), ["400: it rejects the request", '"Bad Request"']),
        (Answer(403, {"message": "forbidden"}), ["403: this user may not", "sub-account 99990001", "admin rights"]),
        (Answer(429, "slow down", {"Retry-After": "17"}), ["429: too many requests: try again in 17 s"]),
        (Answer(429, "slow down"), ["try again in 60 s"]),
        (
            Answer(500, {"secret": "of-another"}),
            ["500: it has an internal error: try again later", '"secret": "***"'],
        ),
        (Answer(503, "<html>no\x1b[31m</html>"), ["503: it has an internal error"]),
        (
            Answer(302, "", {"Location": "https://elsewhere.example/"}),
            ["302: it redirects to https://elsewhere.example/"],
        ),
        (Answer(409, f"{SECRET} is {JWT}"), ["409: it rejects the request\nit says: *** is ***"]),
        (Answer(429, "slow down", {"Retry-After": "²"}), ["try again in 60 s"]),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else "",
)
def test_every_refusal_is_explained_in_plain_words(profile, platform, answer, says):
    platform.next.append(answer)
    code, _, err = profile("create", *QUEUE, "--url", URL)
    assert code == 1
    for words in says:
        assert words in err
    assert "of-another" not in err
    assert "\x1b" not in err


def test_a_change_with_an_unknown_outcome_is_reported_as_such(profile, platform):
    platform.next.append(Answer(502, ""))
    assert "the change may have been made: `flowcore profile get` tells" in profile("update", *QUEUE, "--url", URL)[2]
    platform.next.append(Answer(502, ""))
    assert "not known" not in profile("get", *QUEUE)[2]


def test_a_login_that_fails_says_nothing_about_a_change(profile, platform):
    platform.next_login.append(Answer(502, ""))
    err = profile("update", *QUEUE, "--url", URL)[2]
    assert "RingCentral answers 502: it has an internal error: try again later\n" in err
    assert "change may have been made" not in err


def test_token_refused_twice_ends_with_the_reason(profile, platform):
    platform.next += [Answer(401, "Jwt is expired")] * 2
    code, _, err = profile("get", *QUEUE)
    assert code == 1
    assert "RingCX answers 401" in err
    assert "it says: Jwt is expired" in err


def test_server_that_does_not_answer_is_not_waited_for_longer_than_the_timeout(profile, platform):
    profile("get", *QUEUE)  # which logs in: that takes the time that it takes
    platform.next.append(Answer(silent=threading.Event()))
    code, _, err = profile("update", *QUEUE, "--url", URL, "--timeout", "200ms")
    assert code == 1
    assert "does not answer within 0.2 s; the change may have been made" in err


def test_server_that_is_not_there_is_named(profile, monkeypatch):
    monkeypatch.setenv("RC_SERVER_URL", "http://127.0.0.1:1")
    code, _, err = profile("get", *QUEUE)
    assert code == 1
    assert "http://127.0.0.1:1 cannot be reached: " in err


@pytest.mark.parametrize("name", ["RC_APP_CLIENT_ID", "RC_APP_CLIENT_SECRET", "RC_USER_JWT"])
def test_wrong_login_names_what_to_check(profile, monkeypatch, name):
    monkeypatch.setenv(name, "wrong-as-can-be")
    code, out, err = profile("get", *QUEUE)
    assert code == 1
    assert "it rejects the login: check RC_APP_CLIENT_ID, RC_APP_CLIENT_SECRET and RC_USER_JWT" in err
    assert "wrong-as-can-be" not in out + err


def test_user_without_access_to_ringcx_gets_the_reason(profile, platform):
    platform.next_login += [Answer(body={"access_token": "abc"}), Answer(403, "no")]
    assert "the JWT must be of a user who also has access to RingCX" in profile("get", *QUEUE)[2]


@pytest.mark.parametrize(
    "answer", [Answer(body="<html>"), Answer(body={}), Answer(body=[]), Answer(body={"access_token": 1})]
)
def test_login_page_of_something_else_is_recognised(profile, platform, answer):
    platform.next_login.append(answer)
    assert "RingCentral answers without access_token: check the server's address" in profile("get", *QUEUE)[2]


def test_missing_settings_are_all_named_before_anything_is_sent(profile, platform, monkeypatch):
    monkeypatch.delenv("RC_APP_CLIENT_ID")
    monkeypatch.delenv("RC_USER_JWT")
    code, _, err = profile("get", *QUEUE)
    assert code == 2
    assert "set RC_APP_CLIENT_ID, RC_USER_JWT in the environment" in err
    assert not platform.seen


def test_dry_run_prints_the_request_and_needs_no_login(profile, platform, monkeypatch):
    for name in ("RC_APP_CLIENT_ID", "RC_APP_CLIENT_SECRET", "RC_USER_JWT"):
        monkeypatch.delenv(name)
    code, out, _ = profile("create", *QUEUE, "--url", URL, "--dry-run")
    assert code == 0
    assert out.startswith(f"POST {platform.url}/platform/api/media/product\nauthorization: Bearer ***\n")
    body = json.loads(out.partition("\n\n")[2])
    assert (body["streamingUrl"], body["secret"]) == (URL, "***")
    code, out, _ = profile("delete", "--type", "CAMPAIGN", "--id", "7", "--sub-account", "a/b", "--dry-run")
    assert out.startswith(f"DELETE {platform.url}/platform/api/media/product/account/a%2Fb/type/CAMPAIGN/id/7\n")
    assert not platform.seen


def test_address_is_checked_before_any_request(profile, platform):
    code, _, err = profile("create", *QUEUE, "--url", URL + "/media")
    assert code == 2
    assert "no path is allowed" in err
    assert not platform.seen


@pytest.mark.parametrize("secret", ["short", "x" * 201])
def test_secret_that_the_listener_would_not_take_is_not_set(profile, platform, monkeypatch, secret):
    monkeypatch.setenv("RINGCX_SECRET", secret)
    code, _, err = profile("create", *QUEUE, "--url", URL)
    assert code == 2
    assert f"RINGCX_SECRET has {len(secret)} characters, and ringcx accepts 8 to 200: choose another" in err
    assert not platform.seen


def test_warnings_do_not_stop_the_command(profile, platform, monkeypatch):
    monkeypatch.delenv("RINGCX_SECRET")
    code, _, err = profile("create", *QUEUE, "--url", "wss://127.0.0.1")
    assert code == 0
    assert "RingCX cannot reach 127.0.0.1 from the internet" in err
    assert "RINGCX_SECRET is not set, so anyone" in err
    assert "secret" not in platform.profiles[KEY]
    profile("create", *QUEUE, "--url", URL)
    code, _, err = profile("update", *QUEUE, "--url", URL)
    assert "whether RingCX keeps an earlier secret is not documented" in err
