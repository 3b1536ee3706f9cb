"""The clock: the engine and listeners read time and wait through this one object, so that tests can replace it."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """``now`` decides; ``wall`` is only written down."""

    def now(self) -> float:
        """Monotonic time in seconds."""

    def wall(self) -> datetime:
        """Local time with its offset, for people."""

    async def sleep_until(self, when: float) -> None:
        """Wait until ``now() >= when``; yields to other tasks at least once."""


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.monotonic)  # the C function itself: called for each connection in each slot

    def wall(self) -> datetime:
        return datetime.now().astimezone()

    async def sleep_until(self, when: float) -> None:
        await asyncio.sleep(max(0.0, when - time.monotonic()))


class VirtualClock:
    """Time that passes only while everything waits, and then in one jump.

    The clock drives an event loop of its own: where that loop would sleep, the clock jumps to the next timer instead.
    So tests of hours take milliseconds and have one possible outcome. ``hold`` stops the jumps while a real thread
    works on a result that belongs to the present.
    """

    def __init__(self, start: float = 1000.0, wall: datetime | None = None) -> None:
        self._now = start
        self._start = start
        self._wall = wall or datetime.fromisoformat("2026-01-02T03:04:05+00:00")
        self._holds: list[Callable[[], bool]] = []

    def now(self) -> float:
        return self._now

    def wall(self) -> datetime:
        return self._wall + timedelta(seconds=self._now - self._start)

    async def sleep_until(self, when: float) -> None:
        await asyncio.sleep(max(0.0, when - self._now))

    def advance(self, seconds: float) -> None:
        """Let time pass without waiting, to simulate work in the event loop's thread."""
        self._now += seconds

    def hold(self, busy: Callable[[], bool]) -> None:
        """Stop the clock while ``busy()`` is true."""
        self._holds.append(busy)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run ``main`` in a fresh event loop that lives on this clock."""
        with asyncio.Runner(loop_factory=lambda: _VirtualLoop(self), debug=True) as runner:
            return runner.run(main)

    def _pass(self, seconds: float | None) -> bool:
        if seconds is None or any(busy() for busy in self._holds):
            return False
        self._now += seconds
        return True


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_JumpingSelector(clock))
        self.clock = clock
        self.slow_callback_duration = 3600.0  # virtual seconds say nothing about the work done

    def time(self) -> float:
        return self.clock.now()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # its signature
        """Wait for the executor's threads without a limit: virtual time would pass any ``timeout`` at once."""
        await super().shutdown_default_executor()

    def get_debug(self) -> bool:
        """Return False, so that callbacks and futures do not record stacks, which takes half the time of a long test.

        The loop's own checks of debug mode (threads, coroutines never awaited) stay on.
        """
        return False


class _JumpingSelector(selectors.DefaultSelector):
    """Polls the sockets; when none is ready, time jumps by the timeout that the loop asked for."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0 or self._clock._pass(timeout):
            return ready
        return super().select(0.001)  # real threads are at work: poll again soon
