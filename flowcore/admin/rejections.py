"""Reports of clients that the admin API turned away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from flowcore.engine.throttle import INTERVAL, Throttle

Report = Callable[[str, str, int], None]
"""Called with the reason, the latest client's address, and the number of clients."""


class Rejections:
    """Passes on one report a second for each reason, so that no client can keep the process of the run busy."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._throttle: Throttle[str, tuple[str, str]] = Throttle()

    def add(self, reason: str, address: str) -> None:
        """Report now, or with others of the same reason in a second."""
        if self._throttle.is_first(reason, (reason, address), time.monotonic()):
            self._report(reason, address, 1)

    async def watch(self) -> None:
        """Report what waits, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            for (reason, address), clients in self._throttle.due(time.monotonic()):
                self._report(reason, address, clients)
