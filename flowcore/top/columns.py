"""The columns of the table of calls, and which of them fit into a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowcore.diagnostics import printable
from flowcore.top import words

Call = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of ``width`` cells, with a space behind. Columns with a higher ``rank`` are left out first."""

    title: str
    width: int
    rank: int
    text: Callable[[Call], str]
    right: bool = True


CALL_WIDTH: Final = 36
"""Cells of a call id at most: those of a UUID."""
MIN_CALL_WIDTH: Final = 12
MARK: Final = Column("", 1, 0, lambda call: words.MARKS[words.trouble(call)], right=False)
CALL: Final = Column("call", CALL_WIDTH, 0, lambda call: printable(call["call_id"] or call["flow"]), right=False)
COLUMNS: Final = (
    MARK,
    CALL,
    Column("state", 7, 0, words.state, right=False),
    Column("age", 7, 2, lambda call: words.age(call["age_s"])),
    Column("agent", 6, 6, lambda call: words.level(_level(call, "agent")), right=False),
    Column("customer", 8, 6, lambda call: words.level(_level(call, "customer")), right=False),
    Column("lost", 7, 0, lambda call: words.length(call["lost_ms"])),
    Column("10 s", 7, 3, lambda call: words.length(call["lost_recent_ms"])),
    Column("queue", 5, 4, lambda call: words.queue(call["worst_queue"])),
    Column("latency", 7, 5, lambda call: words.length(call["latency_ms"])),
    Column("worker", 6, 7, lambda call: str(call["worker"])),
)
"""All columns: levels are in dB full scale, ``10 s`` is what was lost in the last ten seconds."""
ONE_PROCESS: Final = COLUMNS[:-1]
"""The columns for a run of one process."""


def _level(call: Call, party: str) -> float | None:
    levels: Mapping[str, float | None] = call["levels"]
    return levels.get(party, levels.get("") if party == "agent" else None)  # audio of a mono line has no party


def fitting(width: int, processes: int) -> list[tuple[Column, int]]:
    """Return the columns that fit into ``width`` cells, each with its own width."""
    chosen = list(COLUMNS if processes > 1 else ONE_PROCESS)

    def left() -> int:
        """Return the cells that are left for call ids."""
        return width - sum(one.width + 1 for one in chosen if one is not CALL) - 1

    while left() < MIN_CALL_WIDTH and (rank := max(one.rank for one in chosen)):
        chosen = [one for one in chosen if one.rank < rank]
    return [(one, max(min(left(), CALL_WIDTH), 4) if one is CALL else one.width) for one in chosen]


def cell(column: Column, width: int, call: Call) -> str:
    """Return a cell of exactly ``width`` cells; a longer text ends with ``…``."""
    text = column.text(call)
    text = text if len(text) <= width else text[: width - 1] + "…"
    return text.rjust(width) if column.right else text.ljust(width)


def titles(columns: Sequence[tuple[Column, int]]) -> list[str]:
    """Return the titles of columns, aligned as their cells."""
    return [one.title.rjust(width) if one.right else one.title.ljust(width) for one, width in columns]
