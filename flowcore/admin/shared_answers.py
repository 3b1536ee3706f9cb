"""Answers that clients share when they ask the same thing within a short time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


class SharedAnswers(Generic[Answer]):
    """Makes each answer once, and gives it to all who ask for it within ``max_age`` seconds of its request."""

    def __init__(self, max_age: float) -> None:
        self._max_age = max_age
        self._latest: dict[str, tuple[float, asyncio.Task[Answer]]] = {}

    async def get(self, key: str, make: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Return the answer of ``key``; ``make`` makes it where there is none that is new enough."""
        now = time.monotonic()
        self._latest = {
            name: (began, task)
            for name, (began, task) in self._latest.items()
            if not task.done() or now - began < self._max_age
        }
        if key not in self._latest:
            self._latest[key] = now, asyncio.create_task(make())
        return await asyncio.shield(self._latest[key][1])  # a client that leaves takes no answer away from the others
