"""The options of ``flowcore run`` for the call log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from flowcore.errors import UsageError
from flowcore.graph.plan import Plan
from flowcore.paths import PathTemplate

if TYPE_CHECKING:
    from flowcore.call_log.database import Database
    from flowcore.call_log.journal_job import JournalJob

NAME: Final = "calls.sqlite"
"""The database beside the recordings."""
WAITING: Final = "calls.waiting"
"""The folder of the journals, beside the database or the recordings."""
KEY: Final = "FLOWCORE_CALL_LOG_KEY"


@dataclass(frozen=True)
class CallLog:
    """A call log as the command line asks for it."""

    folder: Path
    database: Database
    days: float
    job: JournalJob


def call_log(plan: Plan, place: str, days: float, personal: Literal["keep", "hash", "omit"]) -> CallLog | None:
    """Return the call log at ``place``, or beside the plan's files; None for ``none``, and where there are no files.

    Raises `UsageError` and `MissingExtra`.
    """
    root = next((template.root for _, template in _templates(plan)), None)
    if place == "none" or not (place or root):
        return None
    # SQLAlchemy takes a while to import, and commands that only look at a graph do not need it.
    from flowcore.call_log.database import Database
    from flowcore.call_log.journal_job import JournalJob

    check_hidden(plan, personal)
    database = Database(place or str((root or Path()) / NAME))
    folder = (database.path.parent if database.path else root or Path()) / WAITING
    return CallLog(folder, database, days, JournalJob(str(folder), personal))


def key() -> bytes:
    """Return the key of hashed values; empty without one."""
    return os.environ.get(KEY, "").encode()


def check_hidden(plan: Plan, personal: str) -> None:
    """Raise `UsageError` where values are to be hidden, and cannot be hashed or are shown by paths of files."""
    if personal == "keep":
        return
    if personal == "hash" and not key():
        raise UsageError(f"--call-log-personal hash needs a key: set {KEY}, for example to `openssl rand -hex 32`")
    listener = plan.listener.cls
    for node, template in _templates(plan):
        shown = [name for name in template.attributes if name not in listener.call_ids or name in listener.personal]
        if shown:
            text = f"the call log names files, and the path of {node} shows {{{shown[0]}}}"
            raise UsageError(f"{text}: leave it out of the path, or give --call-log-personal keep")


def _templates(plan: Plan) -> Iterator[tuple[str, PathTemplate]]:
    """Yield the path templates of the plan, with their nodes."""
    for node in plan.nodes.values():
        values: list[Any] = [value for _, value in node.config]
        yield from ((node.name, value) for value in values if isinstance(value, PathTemplate))
