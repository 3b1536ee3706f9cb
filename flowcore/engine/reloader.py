"""Reloads the graph of a running process: its files replace the running plan, or nothing changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from flowcore.engine.bus import Bus
from flowcore.engine.version import version_name
from flowcore.errors import CannotStart, FlowcoreError, GraphError
from flowcore.graph.model import Graph
from flowcore.graph.plan import Plan
from flowcore.graph.replacement import check_replacement

PREPARE_TIMEOUT: Final = 120.0
"""Seconds that models and devices of a new version may take to get ready: decoders load a model within 30 s."""
WATCH_INTERVAL: Final = 1.0
"""Seconds between two looks at the files of the graph."""


class Runner(Protocol):
    """An engine, or the supervisor of several."""

    bus: Bus

    @property
    def plan(self) -> Plan:
        """The plan that new sessions get."""

    async def prepare(self, plan: Plan, number: int) -> None:
        """See `flowcore.engine.engine.Engine.prepare`."""

    def activate(self) -> None:
        """See `flowcore.engine.engine.Engine.activate`."""

    def discard(self) -> None:
        """See `flowcore.engine.engine.Engine.discard`."""

    def change_plan(self, plan: Plan) -> None:
        """See `flowcore.engine.engine.Engine.change_plan`."""


class Reloader:
    """Reloads the graph of ``runner``, one time after the other.

    ``read`` loads it; it raises `FlowcoreError`. ``on_reload`` is called with each new plan.
    """

    def __init__(
        self,
        runner: Runner,
        read: Callable[[], tuple[Graph, Plan]],
        on_reload: Callable[[Plan], None] = lambda plan: None,
    ) -> None:
        self._runner = runner
        self._read = read
        self.on_reload = on_reload
        self._number = 1
        self.alone = asyncio.Lock()
        """Held during a reload, and by others that change the plan."""
        self._running: set[asyncio.Task[Any]] = set()
        self._wrong_files: list[str] = []  # those in which the last reload found problems

    def start(self) -> None:
        """Reload in a task of its own."""
        task = asyncio.create_task(self.reload())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Reload for a client of the control socket: see `reload`."""
        return await self.reload()

    async def reload(self) -> dict[str, Any]:
        """Replace the plan by the one in the files, and report it.

        Returns the ``version`` that is current now, and whether it ``changed``. Where nothing was changed, returns the
        ``problems`` of the graph, or another ``error``.
        """
        async with self.alone:
            try:
                changed = await self._replace()
            except GraphError as error:
                self._wrong_files = [problem.path for problem in error.problems]
                problems = [str(problem) for problem in error.problems]
                self._emit("reload_failed", problems=[problem.partition("\n")[0] for problem in problems])
                return {"problems": problems}
            except FlowcoreError as error:
                self._wrong_files = []
                self._emit("reload_failed", cause=error)
                return {"error": str(error)}
            self._wrong_files = []
            version = version_name(self._number, self._runner.plan)
            if changed:
                self._emit("graph_reloaded", graph=self._runner.plan.name, version=version)
            return {"version": version, "changed": changed}

    async def _replace(self) -> bool:
        runner = self._runner
        graph, plan = await asyncio.to_thread(self._read)
        check_replacement(runner.plan, graph, plan)
        changed = plan.sha256 != runner.plan.sha256
        try:
            async with asyncio.timeout(PREPARE_TIMEOUT):
                await runner.prepare(plan if changed else runner.plan, self._number + changed)
        except TimeoutError:
            raise CannotStart(f"models and devices of the graph were not ready within {PREPARE_TIMEOUT:g} s") from None
        if changed:
            self._number += 1
            runner.activate()
            self.on_reload(plan)
        else:
            runner.discard()
        return changed

    def _emit(self, name: str, **data: Any) -> None:
        self._runner.bus.emit(name, **data)
        self._runner.bus.deliver()

    async def watch(self) -> None:
        """Reload whenever a file of the graph has changed and then stays as it is for `WATCH_INTERVAL`, without end."""
        known = before = await asyncio.to_thread(self._stamps)
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            found = await asyncio.to_thread(self._stamps)
            if found not in (known, before):
                before = found
            elif found != known:
                await self.reload()
                # A file that changed meanwhile is found again: of files known before, the old stamps count.
                known = before = await asyncio.to_thread(self._stamps) | found

    def _stamps(self) -> dict[str, tuple[int, ...]]:
        return {path: _stamp(path) for path in (*self._runner.plan.sources, *self._wrong_files)}


def _stamp(path: str) -> tuple[int, ...]:
    """Return values that differ after a change of the file; none for a file that cannot be found."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
