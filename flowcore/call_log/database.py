"""The table of calls, in SQLite or PostgreSQL, through SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    inspect,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeDecorator

from flowcore.errors import FlowcoreError, UsageError
from flowcore.node import Extra

CONNECT_TIMEOUT: Final = 5
"""Seconds for a connection to PostgreSQL, and for a lock of SQLite."""
NETWORK_TIMEOUT_MS: Final = 10_000
"""Milliseconds after which a PostgreSQL that acknowledges nothing counts as away."""


class DatabaseFailed(FlowcoreError):
    """The database is away, full, locked or none of ours."""


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone; SQLite, which has none, keeps UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone() if value else None


_JSON: Final = JSON(none_as_null=True)
CALLS: Final = Table(
    "calls",
    MetaData(),
    Column("flow", String, primary_key=True),
    Column("call_id", String, index=True),
    Column("ids", _JSON),
    Column("attributes", _JSON),
    Column("parties", _JSON),
    Column("started", UtcTime, index=True),
    Column("ended", UtcTime, index=True),
    Column("seconds", Float),
    Column("reason", String),
    Column("lost_ms", Integer),
    Column("lost", _JSON),
    Column("lost_between", _JSON),
    Column("silenced", _JSON),
    Column("delay_ms", Integer),
    Column("words", Integer),
    Column("files", _JSON),
    Column("failures", _JSON),
    Column("agents", _JSON),
    Column("flowcore", String),
    Column("graph", String),
    Column("graph_sha256", String),
    Column("host", String),
)
"""A row for each call. ``seconds``, ``lost``, ``lost_ms``, ``lost_between``, ``silenced`` and ``delay_ms`` are as in
``flow_closed``.

Of a call whose process died (``reason``: ``killed``), only what was known at its start is here. ``agents`` are added
after the call, if at all.
"""
_ended = func.coalesce(CALLS.c.ended, CALLS.c.started)


class Database:
    """The table at ``place``: a path of SQLite, or a URL ``postgresql://…``, which may hold a password.

    Raises `UsageError` for another URL, and `MissingExtra`. Each use has its own connection. All methods raise
    `DatabaseFailed`, and may block.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._url = _url(place)
        self._made = False
        options: dict[str, Any] = {"timeout": CONNECT_TIMEOUT}
        if self._url.get_backend_name() == "postgresql":
            options = {"connect_timeout": CONNECT_TIMEOUT, "tcp_user_timeout": NETWORK_TIMEOUT_MS}
        # Without parameters, the text of an error has no phone number.
        self._engine = create_engine(self._url, connect_args=options, poolclass=NullPool, hide_parameters=True)
        if self._url.get_backend_name() == "sqlite":
            event.listen(self._engine, "connect", _use_wal)

    def __str__(self) -> str:
        return self._url.database or "" if self.path else self._url.render_as_string(hide_password=True)

    @property
    def path(self) -> Path | None:
        """The file of SQLite; None for PostgreSQL."""
        return Path(self._url.database or "") if self._url.get_backend_name() == "sqlite" else None

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows, in one transaction; a flow that is there already stays as it is. Makes the table."""
        dialect = sqlite if self.path else postgresql
        statement = dialect.insert(CALLS).on_conflict_do_nothing(index_elements=["flow"])
        complete = [{column.name: None for column in CALLS.c} | row for row in rows]
        with _failures():
            if not self._made or (self.path and not self.path.exists()):  # a file may be removed at any time
                if self.path:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                CALLS.metadata.create_all(self._engine)
                self._add_missing_columns()
                self._made = True
            if complete:
                with self._engine.begin() as connection:
                    connection.execute(statement, complete)

    def add_agents(self, flow: str, agents: Sequence[dict[str, Any]]) -> bool:
        """Add the agents of a call, if its row has none; return whether they were added."""
        missing = (CALLS.c.flow == flow) & CALLS.c.agents.is_(None)
        with _failures():
            self._add_missing_columns()
            with self._engine.begin() as connection:
                return connection.execute(update(CALLS).where(missing).values(agents=list(agents))).rowcount > 0

    def remove_before(self, when: datetime) -> int:
        """Remove the calls that ended before ``when``; return how many."""
        with _failures(), self._engine.begin() as connection:
            return connection.execute(delete(CALLS).where(_ended < when)).rowcount

    def find(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        lost_ms: float | None = None,
        newest: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return calls in the order of their ends: those of a time that lost so much, or an unknown length.

        With ``newest`` these are the last ones only, the newest first.
        """
        conditions = [] if since is None else [_ended >= since]
        conditions += [] if until is None else [_ended < until]
        conditions += [] if lost_ms is None else [or_(CALLS.c.lost_ms >= lost_ms, CALLS.c.lost_ms.is_(None))]
        with _failures():
            query = select(*self._columns()[0]).where(*conditions)
            query = query.order_by(_ended) if newest is None else query.order_by(_ended.desc()).limit(newest)
            with self._engine.connect() as connection:
                return [dict(row) for row in connection.execute(query).mappings()]

    def get(self, flow: str) -> dict[str, Any] | None:
        """Return the call of a flow; None where it has no row."""
        with _failures(), self._engine.connect() as connection:
            found = connection.execute(select(*self._columns()[0]).where(CALLS.c.flow == flow)).mappings().first()
            return None if found is None else dict(found)

    def _columns(self) -> tuple[list[Column[Any]], list[Column[Any]]]:
        """Return the columns that the table has, and those that it lacks: an earlier version made it."""
        there = {column["name"] for column in inspect(self._engine).get_columns(CALLS.name)}
        return [one for one in CALLS.c if one.name in there], [one for one in CALLS.c if one.name not in there]

    def _add_missing_columns(self) -> None:
        for column in self._columns()[1]:
            with self._engine.begin() as connection:
                kind = column.type.compile(self._engine.dialect)
                connection.execute(text(f"ALTER TABLE {CALLS.name} ADD COLUMN {column.name} {kind}"))

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()


@contextmanager
def _failures() -> Iterator[None]:
    """Turn errors of the database into `DatabaseFailed`, in one line without values of rows."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        raise DatabaseFailed(next(iter(str(cause).splitlines()), type(cause).__name__)) from None


def _url(place: str) -> URL:
    if "://" not in place:
        return URL.create("sqlite", database=place)
    try:
        url = make_url(place)
    except ArgumentError:
        url = URL.create("unknown")
    if url.drivername not in ("postgresql", "postgres"):
        raise UsageError("the call log is a file of SQLite, or postgresql://user@host/database")
    Extra("psycopg", "postgres").check("a call log in PostgreSQL")
    return url.set(drivername="postgresql+psycopg")


def _use_wal(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")  # commands read while a run writes
    connection.execute("PRAGMA synchronous=FULL")  # a row leaves the journal once it is here
