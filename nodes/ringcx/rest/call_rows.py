"""The rows of the call log that lack their agents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nodes.ringcx.rest.call_files import known_ids

if TYPE_CHECKING:
    from flowcore.call_log import Database


@dataclass(frozen=True)
class CallRow:
    """A row without agents. ``began`` and ``ended`` are the call's, in seconds since 1970."""

    flow: str
    ids: tuple[str, ...]
    began: float
    ended: float
    database: Database = field(repr=False, compare=False)

    def add(self, agents: Sequence[dict[str, Any]]) -> bool:
        """Add the agents to the row. Return False if it is gone, or has agents. Raises `DatabaseFailed`."""
        return self.database.add_agents(self.flow, agents)


def waiting_rows(database: Database, oldest: float) -> Iterator[CallRow]:
    """Yield the rows that lack their agents, of calls that ended after ``oldest``; those without an id are left out.

    Raises `DatabaseFailed`.
    """
    for row in database.find(since=datetime.fromtimestamp(oldest, UTC)):
        known = known_ids(row["ids"] or {})
        if row.get("agents") is None and row["ended"] is not None and known:
            yield CallRow(row["flow"], known, row["started"].timestamp(), row["ended"].timestamp(), database)
