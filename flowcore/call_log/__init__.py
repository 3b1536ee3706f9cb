"""The call log: a row for each ended call, in SQLite or PostgreSQL.

- `flowcore.call_log.rows`: the row of a call
- `flowcore.call_log.journal`: the file to which each process appends rows at once
- `flowcore.call_log.replay`: the thread that brings rows from all journals to the database
- `flowcore.call_log.database`: the table

A row goes to the journal first, so a database that is slow, full or away costs no call anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowcore.errors import UsageError

if TYPE_CHECKING:
    from flowcore.call_log.database import Database

__all__ = ["PLACE", "Database", "open_call_log"]

PLACE: Final = "FLOWCORE_CALL_LOG"
"""The environment variable that names the database."""


def open_call_log(place: str) -> Database:
    """Return the database at ``place``. Raises `UsageError` if there is none, and `MissingExtra`."""
    from flowcore.call_log.database import Database  # SQLAlchemy takes a while to import

    database = Database(place)
    if database.path is not None and not database.path.is_file():
        raise UsageError(f"no call log at {database.path}: flowcore run logs its path (call_log_opened)")
    return database
