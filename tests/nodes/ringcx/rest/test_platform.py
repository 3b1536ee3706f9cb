"""The REST client: logins within the rate limits, and no secret in any message."""

from __future__ import annotations

import pytest

from nodes.ringcx.rest.platform import Login, Platform, PlatformError, Servers, check_server, masked
from nodes.ringcx.rest.profiles import Product, get
from nodes.ringcx.rest.token_cache import TokenCache
from tools.fake_platform import CLIENT_SECRET, JWT, FakePlatform


@pytest.fixture
def platform():
    with FakePlatform() as fake:
        yield fake


def test_old_token_is_refreshed_before_it_is_refused(platform, tmp_path):
    time = [1000.0]
    with_clock = TokenCache(tmp_path / "token.json", pytest.fail, lambda: time[0])
    client = _client(platform, with_clock)
    for _ in range(3):
        with pytest.raises(PlatformError, match="there is no streaming profile"):
            client.send(get(Product("queue", 1, "2")))
        time[0] += 280.0
        platform.ahead += 280.0
    client.close()
    assert platform.count("/api/auth/token/refresh") == 2
    assert platform.count("/platform") == 3  # none was refused with 401 and sent again


def test_a_sixth_login_in_a_minute_waits_also_across_runs(platform, tmp_path):
    time, waited, said = [1000.0], [], []

    def sleep(seconds):
        waited.append(seconds)
        time[0] += seconds
        platform.ahead += seconds

    for _ in range(6):
        client = _client(platform, TokenCache(tmp_path / "t.json", said.append, lambda: time[0]), said.append, sleep)
        with pytest.raises(PlatformError, match="404"):
            client.send(get(Product("queue", 1, "2")))
        client.close()
        platform.expire()
        (tmp_path / "t.json").write_text((tmp_path / "t.json").read_text().replace('"access":"', '"access":"old'))
        time[0] += 1.0
        platform.ahead += 1.0
    assert waited == [55.0]
    assert said == ["RingCX allows 5 logins a minute: waiting 55 s"]
    assert not any(answer.status == 429 for answer in platform.answered)


def _client(platform, cache, say=pytest.fail, sleep=pytest.fail):
    login = Login("app-of-a-test", CLIENT_SECRET, JWT)
    return Platform(login, Servers(platform.url, platform.url), timeout=10, say=say, cache=cache, sleep=sleep)


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
