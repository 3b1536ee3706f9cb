"""Who may use the admin API."""

import secrets
from ipaddress import ip_network

import pytest
from fastapi.security import HTTPAuthorizationCredentials
from starlette.requests import Request

from flowcore.admin.access import Access, Client
from flowcore.admin.access_advice import ADVICE
from flowcore.admin.problems import ApiError

SECRET = "t0ken-MARKER-4711-of-32-characters"
READ_SECRET = "r3ad-MARKER-4711-of-32-characters"
TOKENS = {"admin": SECRET, "read": READ_SECRET}


def request(peer="127.0.0.1", method="GET", **headers):
    """A request from ``peer``, for this machine unless ``headers`` have another host."""
    fields = {"host": "127.0.0.1:9090", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    return Request({"type": "http", "method": method, "client": (peer, 1), "headers": raw})


def bearer(token):
    return HTTPAuthorizationCredentials(scheme="Bearer", credentials=token)


@pytest.fixture
def rejected():
    return []


@pytest.mark.fault(81)
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "no_token"),
        (bearer("wr0ng-MARKER-0815"), "wrong_token"),
        (bearer(SECRET[:-1]), "wrong_token"),
        (bearer(f"{SECRET}x"), "wrong_token"),
        (bearer(SECRET.swapcase()), "wrong_token"),
        (bearer("\u00e9"), "wrong_token"),
    ],
)
def test_without_the_token_a_request_is_401_and_reported_without_it(rejected, given, reason):
    access = Access(TOKENS, [], False, lambda *one: rejected.append(one))
    with pytest.raises(ApiError) as error:
        access.check_token(request(), given)
    assert (error.value.status_code, error.value.headers) == (401, {"WWW-Authenticate": "Bearer"})
    assert error.value.detail == "the header  Authorization: Bearer TOKEN  is missing, or its token is wrong"
    assert rejected == [(reason, "127.0.0.1")]


@pytest.mark.parametrize(("name", "token"), TOKENS.items())
def test_a_token_lets_in_and_each_is_compared_in_constant_time(rejected, monkeypatch, name, token):
    compared = []
    compare = secrets.compare_digest
    monkeypatch.setattr(secrets, "compare_digest", lambda *both: compared.append(both) or compare(*both))
    access = Access(TOKENS, [], False, lambda *one: rejected.append(one))
    assert access.check_token(request("192.0.2.1"), bearer(token)) == Client(name, "192.0.2.1")
    assert compared == [(token.encode(), one.encode()) for one in TOKENS.values()]
    assert not rejected


@pytest.mark.fault(81)
@pytest.mark.parametrize(
    ("token", "scope", "reason"),
    [
        ("admin", "control", ""),
        ("admin", "listen", ""),
        ("read", "read", ""),
        ("read", "listen", "read_token"),
        ("read", "control", "read_token"),
        ("", "read", ""),
        ("", "listen", "token_unset"),
        ("", "control", "token_unset"),
    ],
)
def test_listening_and_control_need_the_token_that_may(rejected, token, scope, reason):
    access = Access(TOKENS if token else {}, [], False, lambda *one: rejected.append(one))
    if not reason:
        access.check_scope(request(), Client(token, "127.0.0.1"), scope)
    else:
        with pytest.raises(ApiError) as error:
            access.check_scope(request(), Client(token, "127.0.0.1"), scope)
        assert (error.value.status_code, error.value.detail) == (403, ADVICE[reason])
    assert rejected == [(reason, "127.0.0.1")] * bool(reason)


@pytest.mark.fault(81)
@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ({}, True),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "http://127.0.0.1:9090"}, False),
        ({"origin": "http://127.0.0.1:9090"}, True),
        ({"origin": "http://127.0.0.1:8000"}, False),
        ({"origin": "http://localhost:9090"}, False),
        ({"origin": "null"}, False),
        ({"origin": "https://attacker.example"}, False),
    ],
)
def test_a_page_of_another_origin_gives_no_command(rejected, headers, let_in):
    access = Access(TOKENS, [], False, lambda *one: rejected.append(one))
    access.check_peer(request(**headers))  # it may ask, if it has the token
    if let_in:
        access.check_peer(request(method="POST", **headers))
    else:
        with pytest.raises(ApiError, match="only pages of this port may"):
            access.check_peer(request(method="POST", **headers))
    assert rejected == [("foreign_page", "127.0.0.1")] * (not let_in)


@pytest.mark.fault(81)
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "attacker.example"},
        {"host": "attacker.example:9090"},
        {"host": "[::1"},
        {"origin": "https://attacker.example"},
        {"origin": "null"},
        {"x_forwarded_for": "192.0.2.1"},
        {"forwarded": "for=192.0.2.1"},
    ],
)
def test_without_a_token_a_page_of_another_site_and_a_proxy_are_refused(rejected, headers):
    with pytest.raises(ApiError) as error:
        Access({}, [], False, lambda *one: rejected.append(one)).check_peer(request(**headers))
    assert error.value.status_code == 403
    assert rejected == [("foreign_site", "127.0.0.1")]
    Access(TOKENS, [], False, lambda *one: rejected.append(one)).check_peer(request(**headers))


@pytest.mark.parametrize(
    "headers", [{}, {"host": "localhost"}, {"host": "[::1]:9090"}, {"origin": "http://127.0.0.1:1"}]
)
def test_without_a_token_this_machine_is_let_in(rejected, headers):
    access = Access({}, [], False, lambda *one: rejected.append(one))
    access.check_peer(request(**headers))
    assert access.check_token(request(**headers), None) == Client("", "127.0.0.1")
    assert not rejected


@pytest.mark.parametrize(
    ("peer", "encrypted", "met"),
    [
        ("10.1.2.3", False, True),
        ("::ffff:10.1.2.3", False, True),
        ("127.0.0.1", False, True),
        ("192.0.2.1", False, False),
        ("192.0.2.1", True, True),
    ],
)
def test_in_the_clear_only_proxies_and_this_machine_are_met(rejected, peer, encrypted, met):
    access = Access(TOKENS, [ip_network("10.0.0.0/8")], encrypted, lambda *one: rejected.append(one))
    if met:
        access.check_peer(request(peer))
    else:
        with pytest.raises(ApiError, match="add the proxy's network to --admin-behind-proxy"):
            access.check_peer(request(peer))
    assert rejected == [("no_trusted_proxy", peer)] * (not met)
