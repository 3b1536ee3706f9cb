"""Requests of the admin API to the control hub, at a rate that costs the calls nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from flowcore.admin.shared_answers import SharedAnswers
from flowcore.control import ask

MAX_AGE: Final = 0.1
"""Seconds for which clients that ask the same thing share an answer."""
PACE: Final = 0.01
"""Seconds between two requests to the hub: at most a hundred a second reach the engine, however many clients ask."""
MAX_ASKING: Final = 4
"""Connections to the hub at once, of the clients that it takes: each has a thread."""

Answers = tuple[dict[int, Any], list[int]]
"""The answers by worker, and the workers without one."""


class EngineClient:
    """Asks the hub at ``path``, in threads beside the event loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._threads = ThreadPoolExecutor(MAX_ASKING, "admin-ask")
        self._pace = asyncio.Lock()
        self._answers: SharedAnswers[Answers] = SharedAnswers(MAX_AGE)

    async def ask(self, request: Mapping[str, Any]) -> Answers:
        """Return an answer that is at most `MAX_AGE` seconds old. Raises `UsageError` when there is none."""
        return await self._answers.get(json.dumps(request, sort_keys=True), lambda: self._ask(request))

    async def _ask(self, request: Mapping[str, Any]) -> Answers:
        async with self._pace:
            await asyncio.sleep(PACE)
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask, self.path, request)

    def close(self) -> None:
        """Ask no more."""
        self._threads.shutdown(wait=False)
