"""Ended calls over HTTP, from a real call log."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from flowcore.admin import call_history
from flowcore.call_log.database import Database
from tests.call_log.rig import ended
from tests.support.admin_api import SECRET, api

pytestmark = pytest.mark.slow

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
READ = "r3ad-MARKER-4711-of-32-characters"


def row(flow, minutes, lost_ms=0, **more):
    times = {"started": BEGAN, "ended": BEGAN + timedelta(minutes=minutes)}
    return ended(flow, lost_ms, **times, parties=["agent"], host="here", files=[], **more)


@pytest.fixture
def log(tmp_path):
    database = Database(str(tmp_path / "calls.sqlite"))
    database.add([row("a", 1), row("b", 2, 40), row("c", 3, None), row("d", 4, 10)])
    database.close()
    return tmp_path / "calls.sqlite"


@pytest.fixture
def served(log, tmp_path):
    with api(tmp_path / "gone", SECRET, call_log=log) as opened:
        yield opened


def flows(served, **query):
    answer = served.get("/v1/ended", params=query)
    assert answer.status_code == 200, answer.text
    return [call["flow"] for call in answer.json()["calls"]]


def test_ended_calls_are_listed_newest_first_and_selected_by_time_and_loss(served):
    assert flows(served) == ["d", "c", "b", "a"]
    assert flows(served, limit=2) == ["d", "c"]
    assert flows(served, since=(BEGAN + timedelta(minutes=3)).isoformat()) == ["d", "c"]
    assert flows(served, until=(BEGAN + timedelta(minutes=2)).isoformat()) == ["a"]
    assert flows(served, lost_ms=20) == ["c", "b"]  # the loss of c is not known


def test_one_call_is_shown_and_another_is_404(served):
    call = served.get("/v1/ended/b").json()
    assert (call["call_id"], call["lost_ms"], call["files"], call["talk"]) == ("id-b", 40, [], None)
    answer = served.get("/v1/ended/x")
    assert answer.status_code == 404
    assert "GET /v1/ended lists them" in answer.json()["detail"]


def test_files_on_another_machine_are_not_looked_for(tmp_path, served, log):
    (tmp_path / "a.wav").write_bytes(b"x")
    database = Database(str(log))
    there = {"path": str(tmp_path / "a.wav"), "sha256": "00"}
    database.add([row("e", 5) | {"host": "another", "files": [there]}])
    database.close()
    call = served.get("/v1/ended/e").json()
    assert call["files_here"] is False
    assert call["files"] == [{**there, "bytes": None, "about": None}]


def test_words_need_a_token_that_may_listen(tmp_path, log):
    with api(tmp_path / "gone", READ, tokens={"admin": SECRET, "read": READ}, call_log=log) as served:
        assert served.get("/v1/ended/a").status_code == 200
        assert served.get("/v1/ended/a/words").status_code == 403
    with api(tmp_path / "gone", SECRET, call_log=log) as served:
        assert served.get("/v1/ended/a/words").json() == {"texts": None}


def test_phone_numbers_and_names_need_a_token_that_may_listen(tmp_path, log):
    database = Database(str(log))
    database.add([row("e", 5) | {"attributes": {"ani": "MARKER"}, "agents": [{"name": "MARKER"}]}])
    database.close()
    with api(tmp_path / "gone", READ, tokens={"admin": SECRET, "read": READ}, call_log=log) as served:
        for path in ("/v1/ended", "/v1/ended/e"):
            assert "MARKER" not in served.get(path).text
            assert served.get(path, headers={"Authorization": f"Bearer {SECRET}"}).text.count("MARKER") == 2


def test_a_run_without_a_call_log_says_so(tmp_path):
    with api(tmp_path / "gone", SECRET) as served:
        assert served.get("/v1/ended").json() == {"log": False, "calls": []}
        assert served.get("/v1/ended/a").status_code == 404
        assert served.get("/v1/ended/a/words").json() == {"texts": None}


def test_a_call_log_that_has_no_row_yet_is_empty_and_is_not_made(tmp_path):
    place = tmp_path / "calls.sqlite"
    with api(tmp_path / "gone", SECRET, call_log=place) as served:
        assert served.get("/v1/ended").json() == {"log": True, "calls": []}
    assert not place.exists()


def test_a_database_that_fails_is_503_with_its_reason(tmp_path):
    place = tmp_path / "calls.sqlite"
    with closing(sqlite3.connect(place)) as file:
        file.execute("CREATE TABLE other (x)")
    with api(tmp_path / "gone", SECRET, call_log=place) as served:
        answer = served.get("/v1/ended")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "calls" in answer.json()["detail"]


def test_too_many_questions_at_once_are_told_to_come_again(served, monkeypatch):
    monkeypatch.setattr(call_history, "MAX_WAITING", 0)
    assert served.get("/v1/ended").status_code == 503
