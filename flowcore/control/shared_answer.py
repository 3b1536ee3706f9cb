"""One answer for all who ask within a short time, however many they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedAnswer(Generic[T]):
    """The result of ``make``, which is called again once the result is ``max_age`` seconds old. In one event loop.

    A failure is shared by those who wait for it, and by no others.
    """

    def __init__(
        self, make: Callable[[], Awaitable[T]], max_age: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._max_age = max_age
        self._now = now
        self._made: asyncio.Task[T] | None = None
        self._made_at = 0.0

    async def get(self) -> T:
        now, made = self._now(), self._made
        if made is None or (made.done() and (now - self._made_at >= self._max_age or _failed(made))):
            made = self._made = asyncio.create_task(self._call())
            self._made_at = now
        return await asyncio.shield(made)  # a client that leaves takes no answer away from the others

    async def _call(self) -> T:
        return await self._make()


def _failed(task: asyncio.Task[T]) -> bool:
    return task.cancelled() or task.exception() is not None
