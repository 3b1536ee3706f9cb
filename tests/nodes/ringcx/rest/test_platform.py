"""The REST client: logins within the rate limits, and no secret in any message."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nodes.ringcx.rest import streams
from nodes.ringcx.rest.platform import Login, PlatformError, check_server, masked
from nodes.ringcx.rest.profiles import Product, get
from nodes.ringcx.rest.token_cache import TokenCache
from tests.nodes.ringcx.rest.conftest import Clock, client
from tools.fake_platform import RC_ACCOUNT, SUB_ACCOUNT, Answer

DIALOG = streams.Dialog("s-v-1", RC_ACCOUNT, SUB_ACCOUNT)


def test_old_token_is_refreshed_before_it_is_refused(platform, tmp_path):
    time = [1000.0]
    with_clock = TokenCache(tmp_path / "token.json", pytest.fail, lambda: time[0])
    rest = client(platform, with_clock)
    for _ in range(3):
        with pytest.raises(PlatformError, match="there is no streaming profile"):
            rest.send(get(Product("queue", 1, "2")))
        time[0] += 280.0
        platform.ahead += 280.0
    rest.close()
    assert platform.count("/api/auth/token/refresh") == 2
    assert platform.count("/platform") == 3  # none was refused with 401 and sent again


def test_a_sixth_login_in_a_minute_waits_also_across_runs(platform, tmp_path):
    time, waited, said = [1000.0], [], []

    def sleep(seconds):
        waited.append(seconds)
        time[0] += seconds
        platform.ahead += seconds

    for _ in range(6):
        rest = client(platform, TokenCache(tmp_path / "t.json", said.append, lambda: time[0]), said.append, sleep)
        with pytest.raises(PlatformError, match="404"):
            rest.send(get(Product("queue", 1, "2")))
        rest.close()
        platform.expire()
        (tmp_path / "t.json").write_text((tmp_path / "t.json").read_text().replace('"access":"', '"access":"old'))
        time[0] += 1.0
        platform.ahead += 1.0
    assert waited == [56.0]
    assert said == ["RingCX allows 5 logins in 60 s: waiting 56 s"]
    assert not any(answer.status == 429 for answer in platform.answered)


@pytest.mark.slow
def test_control_requests_are_at_most_120_a_minute_over_all_clients_of_a_login(platform, tmp_path):
    """Four clients in four threads, as four processes would: they share only the file."""
    platform.dialogs["s-v-1"] = set()
    clock = Clock(platform)
    said = []

    def control():
        rest = client(platform, TokenCache(tmp_path / "t.json", pytest.fail, clock), said.append, clock.sleep)
        for number in range(40):
            stream = f"{threading.get_ident()}-{number}"
            rest.send(streams.start(DIALOG, stream, "wss://calls.example.com", ""))
        rest.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(control) for _ in range(4)]:
            done.result()
    assert len(platform.streams) == 160
    assert not any(answer.status == 429 for answer in platform.answered)
    assert clock.ahead >= 61.0
    assert said[0] == "RingCX allows 120 control requests in 60 s: waiting 61 s"


def test_the_limit_of_control_requests_does_not_delay_others(platform, tmp_path):
    cache = TokenCache(tmp_path / "t.json", pytest.fail)
    with cache.open() as tokens:
        tokens.requests["control requests"] = [cache.now()] * 120
    rest = client(platform, cache)
    with pytest.raises(PlatformError, match="there is no streaming profile"):
        rest.send(get(Product("queue", 1, "2")))
    rest.close()


def test_an_error_tells_its_status_and_when_to_try_again(platform, tmp_path):
    rest = client(platform, TokenCache(tmp_path / "t.json", pytest.fail))
    platform.next.append(Answer(429, "slow down", {"Retry-After": "17"}))
    with pytest.raises(PlatformError) as refused:
        rest.send(get(Product("queue", 1, "2")))
    assert (refused.value.status, refused.value.retry_after) == (429, 17)
    rest.close()


@pytest.mark.parametrize(
    "server", ["http://ringcx.example.com", "ringcx.example.com", "https://a.example/path", "ftp://a", "https://"]
)
def test_login_never_leaves_unencrypted_or_for_what_is_no_server(server):
    with pytest.raises(PlatformError, match="write  https://"):
        check_server(server)


def test_whatever_sounds_like_a_secret_is_masked_at_any_depth():
    assert masked({"a": [{"clientSecret": "x", "b": 1}], "access_token": "y", "secret": "", "password": None}) == {
        "a": [{"clientSecret": "***", "b": 1}],
        "access_token": "***",
        "secret": "",
        "password": None,
    }


def test_login_shows_nothing_of_itself():
    assert "hidden" not in repr(Login("app", "hidden", "hidden"))
