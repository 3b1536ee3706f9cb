"""Rows, and journals that are written and replayed without waiting for a thread's next look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowcore.call_log.database import Database
from flowcore.call_log.journal import Journal
from flowcore.call_log.replay import Replay

STARTED = "2026-01-02T03:04:05+00:00"


def begun(flow: str, **more: Any) -> dict[str, Any]:
    return {"flow": flow, "call_id": f"id-{flow}", "started": STARTED, **more}


def ended(flow: str, lost_ms: int = 0, **more: Any) -> dict[str, Any]:
    figures = {"ended": "2026-01-02T03:05:05+00:00", "reason": "stop", "seconds": 60.0, "lost_ms": lost_ms}
    return begun(flow) | figures | more


class Events(list[tuple[str, dict[str, Any]]]):
    def emit(self, name: str, **data: Any) -> None:
        self.append((name, data))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self]


def journalled(folder: Path, *rows: dict[str, Any], events: Events | None = None) -> None:
    """Write a journal as a process does that ends."""
    journal = Journal(folder, (Events() if events is None else events).emit)
    for row in rows:
        journal.write(row["flow"], row, [])
    journal.close()


def replayed(folder: Path, database: Database) -> list[dict[str, Any]]:
    """Replay all journals, as a new process does, and return all calls."""
    Replay(folder, database).once()
    return database.find()
