import os
import threading

import pytest

from nodes.ringcx.rest.rate_limit import LOGINS
from nodes.ringcx.rest.token_cache import TokenCache, Tokens, cache_directory


@pytest.fixture
def cache(tmp_path):
    return TokenCache(tmp_path / "flowcore" / "token.json", pytest.fail, lambda: 1000.0)


def test_what_is_kept_is_there_for_the_next_run_and_for_its_user_only(cache, tmp_path):
    with cache.open() as kept:
        kept.access, kept.expires = "abc", 1300.0
    with TokenCache(tmp_path / "flowcore" / "token.json", pytest.fail).open() as found:
        assert found == Tokens("abc", 1300.0)
    assert (tmp_path / "flowcore" / "token.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "flowcore").stat().st_mode & 0o777 == 0o700


def test_file_that_others_could_read_is_not_used_and_closed_to_them(cache, tmp_path):
    file = tmp_path / "flowcore" / "token.json"
    with cache.open() as kept:
        kept.access = "seen by others"
    file.chmod(0o644)
    with cache.open() as kept:
        assert kept == Tokens()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"access": 1}', b"\xff"])
def test_torn_file_counts_as_empty(cache, tmp_path, data):
    with cache.open():
        pass
    (tmp_path / "flowcore" / "token.json").write_bytes(data)
    with cache.open() as kept:
        assert kept == Tokens()


def test_link_in_its_place_is_not_followed(tmp_path):
    said = []
    (tmp_path / "target").write_text("mine")
    (tmp_path / "token.json").symlink_to(tmp_path / "target")
    with TokenCache(tmp_path / "token.json", said.append).open() as kept:
        kept.access = "abc"
    assert (tmp_path / "target").read_text() == "mine"
    assert "not stored for the next run" in said[0]


def test_where_nothing_can_be_kept_it_serves_this_run(tmp_path):
    said = []
    (tmp_path / "file").write_text("")
    cache = TokenCache(tmp_path / "file" / "token.json", said.append)
    with cache.open() as kept:
        kept.access = "abc"
    with cache.open() as kept:
        assert kept.access == "abc"
    assert len(said) == 1


def test_where_nothing_can_be_kept_all_of_the_process_share_it(tmp_path):
    (tmp_path / "file").write_text("")
    first, second = (TokenCache(tmp_path / "file" / "token.json", list) for _ in range(2))
    for cache in (first, second) * 2:
        with cache.open() as kept:
            assert kept.take_turn(LOGINS, 1000.0) == 0.0
    with second.open() as kept:
        assert [kept.take_turn(LOGINS, 1000.0), kept.take_turn(LOGINS, 1000.0)] == [0.0, 61.0]


def test_second_process_waits_until_the_first_has_its_token(cache, tmp_path):
    found = []

    def second():
        with TokenCache(tmp_path / "flowcore" / "token.json", pytest.fail).open() as kept:
            found.append(kept.access)

    thread = threading.Thread(target=second)
    with cache.open() as kept:
        thread.start()
        thread.join(0.05)
        assert not found
        kept.access = "of the first"
    thread.join(30)
    assert found == ["of the first"]


def test_token_is_used_until_shortly_before_its_end_and_never_after_the_clock_was_put_back():
    kept = Tokens("abc", expires=1300.0)
    assert [kept.fresh(now) for now in (1000.0, 1269.0, 1270.0, 1301.0, 900.0)] == [True, True, False, False, False]


def test_a_turn_that_has_to_wait_is_not_recorded():
    kept = Tokens()
    assert [kept.take_turn(LOGINS, 1000.0 + n) for n in range(6)] == [0.0] * 5 + [56.0]
    assert kept.take_turn(LOGINS, 1061.0) == 0.0
    assert kept.requests == {"logins": [1001.0, 1002.0, 1003.0, 1004.0, 1061.0]}


def test_directory_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "flowcore"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "flowcore"
    assert os.path.isabs(cache_directory())
