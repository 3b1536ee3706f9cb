"""Pages on the listener's port: where they may be shown, and who gets them."""

from __future__ import annotations

from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from flowcore import CannotStart
from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.testing import run_plan
from nodes.captions.access import mint
from tests.support.live import until
from tests.support.watching import Talk, address, stage

KEY = "0123456789abcdef"

TWO = """
flowcore: 1
nodes:
  call: {use: ringcx, with: {port: 0}}
  voices: {use: decode_mulaw, from: ordered}
  ordered: {use: reorder, from: call}
  speech: {use: resample, from: voices, with: {rate: 16000}}
  words: {use: transcribe, from: speech}
  page: {use: captions, from: words}
  again: {use: captions, from: words, with: {keep: 1min}}
"""


def get(url, **headers):
    """Status, headers and body."""
    try:
        with urlopen(Request(url, headers=headers)) as answer:
            return answer.status, answer.headers, answer.read()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read()


def test_open_to_all_is_refused_where_others_can_come(tmp_path):
    elsewhere = stage(tmp_path, public="https://captions.example")
    with pytest.raises(CannotStart, match=r"^call: captions without a secret are for this machine only"), elsewhere:
        pass


def test_pages_are_announced_as_they_are_seen_through_a_proxy(tmp_path, monkeypatch):
    monkeypatch.setenv("VIEWER_KEY", "0123456789abcdef")
    with stage(tmp_path, "access: token, secret: '${VIEWER_KEY}'", public="https://captions.example") as live:
        addresses = [event.data["address"] for event in live.events if event.name in ("listener_opened", "page_opened")]
    assert addresses == [
        "wss://captions.example",
        "https://captions.example/client?callId={{model.call.uii}}&token=…",
    ]


def test_the_page_restricts_its_sources_and_its_frames(tmp_path):
    with stage(tmp_path, "frame_ancestors: ['https://desk.example', 'https://*.example.org:8443']") as live:
        status, headers, body = get(address(live, "?callId=one"))
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert b"Live captions" in body
        policy = headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self' https://desk.example https://*.example.org:8443" in policy
        feed = f"{urlsplit(live.url).netloc}/client-ws"
        assert f"connect-src 'self' ws://{feed} wss://{feed}" in policy  # Safari before 15.4: no WebSocket is 'self'
        assert not any("unsafe" in rule for rule in policy)
        assert (headers["Referrer-Policy"], headers["Cache-Control"]) == ("no-referrer", "no-store")
        for name in ("client.js", "client.css"):
            assert get(address(live).replace("client", name))[0] == 200
        assert get(address(live).replace("client", "calls.py"))[0] == 404
        assert get(address(live, "-ws?callId=one"))[0] == 426


@pytest.mark.parametrize(
    "wrong",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-For": "192.0.2.1"},
        {"X-Real-IP": "192.0.2.1"},
        {"Via": "1.1 proxy"},
        {"Origin": "http://e"},
    ],
)
@pytest.mark.slow
def test_without_a_secret_a_foreign_page_gets_nothing(tmp_path, wrong):
    with stage(tmp_path) as live:
        talk = Talk(live.url, "one")
        talk.words("agent", 1.0, "very private")
        assert get(address(live, "?callId=one"), **wrong)[0] == 403
        feed = address(live, "-ws?callId=one").replace("http:", "ws:")
        with pytest.raises(InvalidStatus, match="403"):
            connect(feed, additional_headers=wrong, proxy=None)
        with connect(feed, proxy=None) as socket:
            while "very private" not in socket.recv(timeout=30):
                pass
        talk.hang_up()


def test_more_viewers_than_allowed_are_503_and_the_next_is_let_in_after_one_left(tmp_path):
    with stage(tmp_path, "viewers: 2") as live:
        feed = address(live, "-ws?callId=one").replace("http:", "ws:")
        with connect(feed, proxy=None):
            with connect(feed, proxy=None), pytest.raises(InvalidStatus) as refused:
                connect(feed, proxy=None)
            assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (503, "5")
            with connect(feed, proxy=None) as third:
                assert '"waiting"' in third.recv(timeout=30)


@pytest.mark.parametrize("access", ["key", "token"])
def test_a_script_that_fills_in_no_call_shows_no_other_call(tmp_path, monkeypatch, access):
    monkeypatch.setenv("VIEWER_KEY", KEY)
    good = {"key": KEY, "token": mint(KEY, "", 99_999_999_999)}[access]
    with stage(tmp_path, f"access: {access}, secret: '${{VIEWER_KEY}}'") as live:
        talk = Talk(live.url, "one")
        for call in ("", "?callId=", "?callId=%20"):
            assert get(address(live, f"{call or '?'}&{access}={good}"))[0] == 403
        assert get(address(live, f"?callId=one&{access}={mint(KEY, 'one', 99_999_999_999)}"))[0] == (
            200 if access == "token" else 403
        )
        talk.hang_up()


@pytest.mark.slow
def test_who_guesses_keys_is_seen_in_the_log_without_the_guess(tmp_path, monkeypatch):
    monkeypatch.setenv("VIEWER_KEY", KEY)
    with stage(tmp_path, "secret: '${VIEWER_KEY}'") as live:
        for guess in range(3):
            assert get(address(live, f"?callId=one&key=guess-{guess}"))[0] == 403
        until(lambda: sum(event.data["times"] for event in live.named("caller_rejected")) == 3)
    told = [event.data for event in live.named("caller_rejected")]
    assert {(one["reason"], one["address"]) for one in told} == {("no_page_access", "127.0.0.1")}
    assert "guess" not in str(told)


@pytest.mark.slow
def test_two_nodes_with_the_same_path_cannot_start():
    plan = compile_graph(load_text(TWO))
    with pytest.raises(CannotStart, match=r"two nodes want to show pages at /client: give both the same settings"):
        run_plan(plan)
