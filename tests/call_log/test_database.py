"""The table, in SQLite and in PostgreSQL."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import text

from flowcore.call_log.database import Database, DatabaseFailed
from flowcore.errors import UsageError
from tests.call_log.rig import ended, journalled, replayed
from tests.support.postgres import postgres

EVERYTHING = ended(
    "flow",
    lost_ms=40,
    ids={"call_id": "id-flow", "session_id": "7"},
    attributes={"ani": "+15550100"},
    parties=["agent", "customer"],
    lost={"ordered": {"late": {"chunks": 2, "ms": 40.0}}},
    lost_between={"ordered": {"late": [1.0, 2.5]}},
    silenced=[["agent", 1.0, 2.0]],
    delay_ms=3,
    words=12,
    failures=[{"node": "wav", "error": "OSError"}],
    flowcore="0.1.0",
    graph="graphs/record.yaml",
    graph_sha256="00",
    host="recorder-1",
)


@pytest.fixture(scope="module")
def cluster():
    with postgres() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request, tmp_path):
    if request.param == "sqlite":
        database = Database(f"{tmp_path}/calls.sqlite")
    else:
        database = Database(request.getfixturevalue("cluster").url)
    yield database
    database.remove_before(datetime.fromisoformat("2100-01-01T00:00:00+00:00"))
    database.close()


def test_a_row_comes_back_as_it_was_written(tmp_path, database):
    journalled(tmp_path / "waiting", EVERYTHING)
    (row,) = replayed(tmp_path / "waiting", database)
    times = {name: datetime.fromisoformat(EVERYTHING[name]) for name in ("started", "ended")}
    assert row == EVERYTHING | times | {"files": [], "agents": None}


def test_agents_are_added_once(tmp_path, database):
    journalled(tmp_path / "waiting", EVERYTHING)
    replayed(tmp_path / "waiting", database)
    assert database.add_agents("flow", [{"agent_id": "7"}])
    assert not database.add_agents("flow", [{"agent_id": "8"}])
    assert not database.add_agents("another", [])
    assert [row["agents"] for row in database.find()] == [[{"agent_id": "7"}]]


def test_a_table_of_an_earlier_version_is_read_and_gets_the_columns_that_it_lacks(tmp_path, database):
    journalled(tmp_path / "waiting", EVERYTHING)
    replayed(tmp_path / "waiting", database)
    with database._engine.begin() as connection:
        connection.execute(text("ALTER TABLE calls DROP COLUMN agents"))
    assert "agents" not in database.find()[0]
    assert database.add_agents("flow", [])
    assert database.find()[0]["agents"] == []


def test_calls_are_found_by_their_time_and_their_loss(tmp_path, database):
    rows = [ended(f"h{hour}", lost_ms=hour, ended=f"2026-01-02T{hour:02}:00:00+00:00") for hour in range(3)]
    unknown = {"flow": "dead", "call_id": "", "started": "2026-01-02T02:30:00+00:00"}
    journalled(tmp_path / "waiting", *rows, unknown)
    replayed(tmp_path / "waiting", database)

    def found(since=None, until=None, lost=None):
        times = [datetime.fromisoformat(f"2026-01-02T{at}+01:00") if at else None for at in (since, until)]
        return [row["flow"] for row in database.find(*times, lost)]

    assert found() == ["h0", "h1", "h2", "dead"]
    assert found(since="02:00") == ["h1", "h2", "dead"]
    assert found(until="02:00") == ["h0"]
    assert found(lost=2) == ["h2", "dead"]  # its loss is not known
    assert found("02:00", "03:00", 1) == ["h1"]


@pytest.mark.slow
@pytest.mark.fault(76)
def test_a_postgresql_that_goes_away_and_comes_back_has_every_row(tmp_path, cluster):
    database = Database(cluster.url)
    waiting = tmp_path / "waiting"
    journalled(waiting, ended("a"))
    replayed(waiting, database)
    cluster.stop()
    journalled(waiting, ended("b"))
    with pytest.raises(DatabaseFailed) as failed:
        replayed(waiting, database)
    assert "\n" not in str(failed.value)
    cluster.start()
    assert [row["flow"] for row in replayed(waiting, database)] == ["a", "b"]
    database.remove_before(datetime.fromisoformat("2100-01-01T00:00:00+00:00"))
    database.close()


def test_a_url_of_another_database_says_what_to_write():
    for url in ("mysql://localhost/calls", "sqlite:///calls.sqlite", "://"):
        with pytest.raises(UsageError, match="postgresql://user@host/database"):
            Database(url)


def test_the_name_of_a_database_has_no_password():
    database = Database("postgresql://flow:secret@db/calls")
    assert "secret" not in str(database)
    database.close()
