"""Ended calls: rows of the call log, with what their files tell."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

from flowcore.admin import call_files
from flowcore.admin.shared_answers import SharedAnswers
from flowcore.call_log import open_call_log
from flowcore.errors import FlowcoreError, UsageError

MAX_AGE: Final = 1.0
"""Seconds for which clients that ask the same thing share an answer."""
MAX_READING: Final = 2
"""Threads that read from the database and from files."""
MAX_WAITING: Final = 32
"""Questions at most that wait for a thread."""


class HistoryFailed(Exception):
    """The call log cannot be asked now; the text says why."""


class CallHistory:
    """Reads the call log at ``place``, a path or a URL; empty for none. All answers are plain JSON values."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._host = socket.gethostname()
        self._threads = ThreadPoolExecutor(MAX_READING, "admin-history")
        self._waiting = 0
        self._answers: SharedAnswers[Any] = SharedAnswers(MAX_AGE)

    async def latest(
        self, since: datetime | None, until: datetime | None, lost_ms: float | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return the last calls that ended in a time and lost so much, the newest first. Raises `HistoryFailed`."""
        found: list[dict[str, Any]] = await self._ask(
            f"list {since} {until} {lost_ms} {limit}", lambda: self._find(since, until, lost_ms, limit)
        )
        return found

    async def show(self, flow: str) -> dict[str, Any] | None:
        """Return a call with its files and the times of talk; None where it has no row. Raises `HistoryFailed`."""
        found: dict[str, Any] | None = await self._ask(f"show {flow}", lambda: self._show(flow))
        return found

    async def words(self, flow: str) -> list[dict[str, Any]] | None:
        """Return the texts of a call; None where it has no row, or no transcript here. Raises `HistoryFailed`."""
        found: list[dict[str, Any]] | None = await self._ask(f"words {flow}", lambda: self._words(flow))
        return found

    def close(self) -> None:
        """Read no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, key: str, read: Callable[[], Any]) -> Any:
        async def make() -> Any:
            if self._waiting >= MAX_WAITING:
                raise HistoryFailed("too many questions about ended calls at once: ask again")
            self._waiting += 1
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, read)
            except FlowcoreError as error:
                raise HistoryFailed(str(error)) from None
            finally:
                self._waiting -= 1

        return await self._answers.get(key, make)

    def _find(self, *conditions: Any) -> list[dict[str, Any]]:
        return [_plain(row) for row in self._read(lambda database: database.find(*conditions)) or []]

    def _show(self, flow: str) -> dict[str, Any] | None:
        row = self._row(flow)
        if row is None:
            return None
        here = row["host"] == self._host
        files = [call_files.describe(file) for file in row["files"] or [] if here]
        elsewhere = [{**file, "bytes": None, "about": None} for file in row["files"] or [] if not here]
        return {**_plain(row), "files": files + elsewhere, "files_here": here, "talk": call_files.talk(files)}

    def _words(self, flow: str) -> Any:
        row = self._row(flow)
        if row is None or row["host"] != self._host:
            return None
        return call_files.words([file["path"] for file in row["files"] or []])

    def _row(self, flow: str) -> Any:
        return self._read(lambda database: database.get(flow))

    def _read(self, read: Callable[[Any], Any]) -> Any:
        """Ask the database; None where it has not been made yet: that of SQLite comes with the first row."""
        try:
            database = open_call_log(self.place)
        except UsageError:
            return None
        try:
            return read(database)
        finally:
            database.close()


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
