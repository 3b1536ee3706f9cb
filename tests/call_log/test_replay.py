"""Rows come to the database once, whatever the database or the process does meanwhile."""

from __future__ import annotations

import fcntl
import sqlite3
from datetime import UTC, datetime

import pytest

from flowcore.call_log import database as database_module
from flowcore.call_log import replay as module
from flowcore.call_log.database import Database, DatabaseFailed
from flowcore.call_log.journal import Journal
from flowcore.call_log.replay import Replay, ReplayThread
from tests.call_log.rig import Events, begun, ended, journalled, replayed


@pytest.fixture
def waiting(tmp_path):
    return tmp_path / "waiting"


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setattr(database_module, "CONNECT_TIMEOUT", 0.01)
    database = Database(f"{tmp_path}/calls.sqlite")
    yield database
    database.close()


def flows(rows):
    return [row["flow"] for row in rows]


def test_a_row_that_is_replayed_twice_is_there_once(tmp_path, waiting, database):
    journalled(waiting, ended("a", lost_ms=20))
    (path,) = waiting.glob("*.jsonl")
    content = path.read_bytes()
    assert flows(replayed(waiting, database)) == ["a"]
    path.write_bytes(content)  # as if the process had been killed before it removed the file
    assert flows(replayed(waiting, database)) == ["a"]
    assert not path.exists()


def test_rows_of_a_running_process_come_while_it_runs(waiting, database):
    journal = Journal(waiting, Events().emit)
    replay = Replay(waiting, database)
    for flow in "ab":
        journal.write(f"run-{flow}", begun(f"run-{flow}"), [])
        journal.write(flow, ended(flow), [])
        while flow not in flows(database_rows(replay, database)):
            pass
    journal.close()
    assert flows(database_rows(replay, database)) == ["a", "b", "run-a", "run-b"]


def test_a_sealed_file_whose_process_still_holds_it_makes_no_call_a_killed_one(waiting, database):
    journalled(waiting, begun("long"))
    (path,) = waiting.glob("*.jsonl")
    replay = Replay(waiting, database)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b'{"sealed":true}\n')
        file.flush()
        replay.once()
    replay.once()
    assert not path.exists()
    assert database.find() == []


def database_rows(replay, database):
    replay.once()
    return sorted(database.find(), key=lambda row: row["flow"])


@pytest.mark.fault(76)
def test_a_locked_database_keeps_the_rows_in_the_journal(waiting, database):
    journalled(waiting, ended("a"))
    assert flows(replayed(waiting, database)) == ["a"]
    with sqlite3.connect(database.path) as other:
        other.execute("BEGIN IMMEDIATE")
        journalled(waiting, ended("b"))
        with pytest.raises(DatabaseFailed, match="locked"):
            replayed(waiting, database)
        assert len(list(waiting.glob("*.jsonl"))) == 1
    other.close()
    assert flows(replayed(waiting, database)) == ["a", "b"]


@pytest.mark.fault(76)
def test_a_full_database_keeps_the_rows_in_the_journal(waiting, database):
    """SQLite's own limit of pages stands for a full disk: both are SQLITE_FULL."""
    journalled(waiting, ended("a"))
    replayed(waiting, database)
    pages = []

    def limit(connection, _record):
        (size,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={size if not pages else 1_000_000}")

    database_module.event.listen(database._engine, "connect", limit)
    database.close()  # connect anew
    journalled(waiting, *(ended(f"b{number}", reason="x" * 5000) for number in range(10)))
    with pytest.raises(DatabaseFailed, match="full"):
        replayed(waiting, database)
    pages.append("more")
    database.close()
    assert len(replayed(waiting, database)) == 11


@pytest.mark.fault(76)
def test_a_database_that_was_removed_is_made_anew(waiting, database):
    replay = Replay(waiting, database)
    journalled(waiting, ended("a"))
    replay.once()
    database.path.unlink()
    journalled(waiting, ended("b"))
    replay.once()
    assert flows(database.find()) == ["b"]


@pytest.mark.fault(76)
def test_a_file_that_is_no_database_is_named_and_rows_wait(tmp_path, waiting):
    (tmp_path / "other.sqlite").write_text("a text, and no database at all" * 100)
    database = Database(f"{tmp_path}/other.sqlite")
    journalled(waiting, ended("a"))
    with pytest.raises(DatabaseFailed, match="not a database"):
        replayed(waiting, database)
    database.close()
    assert list(waiting.glob("*.jsonl"))


def test_only_one_process_at_a_time_replays_a_folder(waiting, database):
    journalled(waiting, ended("a"))
    replay = Replay(waiting, database)
    with replay._alone() as alone:
        assert alone
        Replay(waiting, database).once()
        assert list(waiting.glob("*.jsonl"))
    assert flows(replayed(waiting, database)) == ["a"]


def test_old_rows_are_removed_and_only_when_asked(waiting, database):
    new = ended("new", ended="2026-02-01T00:00:01+00:00")
    journalled(waiting, ended("old", ended="2026-01-31T23:59:59+00:00"), new, begun("killed"))
    replayed(waiting, database)

    def at():
        return datetime(2026, 3, 3, tzinfo=UTC)

    Replay(waiting, database, wall=at).purge()
    assert len(database.find()) == 3
    Replay(waiting, database, days=30, wall=at).purge()
    assert flows(database.find()) == ["new"]


@pytest.mark.fault(76)
def test_the_thread_tries_again_and_says_so_once(tmp_path, waiting, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.001)
    monkeypatch.setattr(module, "MAX_RETRY_DELAY", 0.001)
    blocked = tmp_path / "blocked"
    blocked.touch()  # a file where the database's folder should be
    database = Database(f"{blocked}/calls.sqlite")
    journalled(waiting, ended("a"))
    events = Events()
    thread = ReplayThread(Replay(waiting, database), events.emit)
    while "call_log_failed" not in events.names:
        pass
    blocked.unlink()
    while "call_log_restored" not in events.names:
        pass
    thread.close()
    assert flows(database.find()) == ["a"]
    assert events.names == ["call_log_failed", "call_log_restored"]
    database.close()
