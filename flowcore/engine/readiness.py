"""Readiness: whether the nodes of a plan could do their work for a new flow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from flowcore.graph.plan import Plan

CHECK_INTERVAL: Final = 1.0
"""Seconds for which the result of a check is used."""
CHECK_TIMEOUT: Final = 5.0
"""Seconds after which a check that has not ended, as on a network disk that is gone, is an obstacle itself."""
CHECK_HANGS: Final = "check_hangs"


class Readiness:
    """Checks the nodes of ``plan`` in a thread, because a dead disk can block for minutes."""

    def __init__(self, plan: Plan, now: Callable[[], float]) -> None:
        self._plan = plan
        self._now = now
        self._found = ""
        self._room: dict[str, float] = {}
        self._began = -CHECK_INTERVAL
        self._running: threading.Thread | None = None

    def obstacle(self) -> str:
        """Return the first `flowcore.node.Node.obstacle` of the last check, and begin the next one if it is time."""
        now, found = self._now(), self._found
        if self._running is not None and self._running.is_alive():
            return found or (CHECK_HANGS if now - self._began > CHECK_TIMEOUT else "")
        if now - self._began >= CHECK_INTERVAL:
            self._began = now
            self._running = threading.Thread(target=self._check, name="readiness", daemon=True)
            self._running.start()
        return found

    def room(self) -> Mapping[str, float]:
        """Return the least `flowcore.node.Node.room` of each kind in the last check, and begin the next one."""
        self.obstacle()
        return self._room

    def _check(self) -> None:
        found = ""
        room: dict[str, float] = {}
        for node in self._plan.nodes.values():
            with suppress(Exception):  # a check that fails says nothing of the calls
                found = found or node.cls.obstacle(node.config)
                for kind, flows in node.cls.room(node.config).items():
                    room[kind] = min(flows, room.get(kind, flows))
        self._found, self._room = found, room
