"""Commands of operators: each is carried out once, few at a time, and reported with its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from flowcore.admin.access import Client
from flowcore.admin.problems import ApiError, api_error
from flowcore.errors import UsageError

MAX_COMMANDS: Final = 8
"""Commands under way at once; each has a thread and a connection to the hub, of the clients that it takes."""
PACE: Final = 0.05
"""Seconds between two commands: at most 20 a second reach the engine, and the log."""
ALONE: Final = ("reload",)
"""Operations of which one is under way at a time: it may take minutes."""

OnCommand = Callable[[Mapping[str, Any]], None]
"""Called with the fields of the event ``admin_command`` after each command."""


class Busy(UsageError):
    """Too many commands are under way."""


class CommandRunner:
    """Carries out commands at the hub at ``path``, in threads beside the event loop.

    A client that leaves takes nothing back: its command is carried out and reported.
    """

    def __init__(self, path: Path, on_command: OnCommand) -> None:
        self._path = path
        self._on_command = on_command
        self._threads = ThreadPoolExecutor(MAX_COMMANDS, "admin-command")
        self._pace = asyncio.Lock()
        self._under_way: list[str] = []

    async def run(
        self, client: Client, operation: str, command: Callable[[Path], dict[str, Any]], call: str = "", party: str = ""
    ) -> dict[str, Any]:
        """Return the answer of ``command``. ``call`` is the client's name for a call. Raises `Busy` and `ApiError`."""
        if len(self._under_way) >= MAX_COMMANDS or (operation in ALONE and operation in self._under_way):
            raise Busy(operation)
        self._under_way.append(operation)
        status, answer = int(HTTPStatus.INTERNAL_SERVER_ERROR), {}
        try:
            async with self._pace:
                await asyncio.sleep(PACE)
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, command, self._path)
            status = HTTPStatus.OK
        except UsageError as error:
            refusal = api_error(error, call)
            status = refusal.status_code
            raise refusal from None
        except ApiError as error:
            status = error.status_code
            raise
        finally:
            self._under_way.remove(operation)
            # Neither the client's name for the call, which may be a phone number, nor an unknown party.
            self._on_command(
                {
                    "operation": operation,
                    "status": int(status),
                    "flow": answer.get("flow", ""),
                    "party": party if status == HTTPStatus.OK else "",
                    "changed": answer.get("changed", False),
                    "token": client.token,
                    "address": client.address,
                }
            )
        return answer

    def close(self) -> None:
        """Take no more commands."""
        self._threads.shutdown(wait=False)
