"""Resources of plans: each distinct one is opened once, before its first flow, and closed after its last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from flowcore.engine.admission import MessagePort
from flowcore.engine.bus import Bus
from flowcore.engine.totals import ProcessReport, Totals
from flowcore.errors import CannotStart, FlowcoreError
from flowcore.graph.plan import Plan
from flowcore.registry import describe_error
from flowcore.resource import Resource

CLOSE_TIMEOUT = 5.0
"""Seconds that a resource may take to close, before the process ends without it."""


@dataclass
class Resources:
    """The open resources of one engine, of all versions of its graph."""

    totals: Totals
    bus: Bus
    now: Callable[[], float]
    messages: MessagePort | None
    opened: list[Resource] = field(default_factory=list)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def open(self, plan: Plan, by_node: dict[str, Any]) -> None:
        """Fill ``by_node`` with the resources of a plan. Raises `CannotStart`.

        Those that are not open yet are opened in threads: loading a model may take seconds.
        """
        async with self._opening:
            await self._open(plan, by_node)

    async def _open(self, plan: Plan, by_node: dict[str, Any]) -> None:
        for node in plan.nodes.values():
            resource = node.cls.make_resource(node.config)
            if resource is None:
                continue
            same = next((opened for opened in self.opened if opened == resource), None)
            if same is None:
                resource.now = self.now
                resource.report = ProcessReport(self.totals, self.bus, node.name)
                if self.messages is not None:
                    self.messages.join(node.name, resource)
                try:
                    await asyncio.to_thread(resource.open)
                except CannotStart as error:
                    error.node = error.node or node.name
                    raise
                except FlowcoreError:
                    raise
                except Exception as error:  # a mistake in the resource's code, reported like any other start failure
                    message, trace = describe_error(type(resource), error)
                    raise CannotStart(": ".join((message, *trace[-1:])), node=node.name) from error
                self.opened.append(resource)
                same = resource
            by_node[node.name] = same

    async def close(self, limit: float | None, used: Collection[Resource] = ()) -> None:
        """Close all resources except the ``used`` ones, the last one first.

        Each is closed in a thread, which is left behind if a model or a device hangs for ``limit`` seconds.
        """
        kept = {id(resource) for resource in used}
        closing = [resource for resource in reversed(self.opened) if id(resource) not in kept]
        self.opened = [resource for resource in self.opened if id(resource) in kept]
        for resource in closing:
            closed = _in_thread(resource.close)
            done, _ = await asyncio.wait([closed], timeout=limit)
            cause = closed.exception() if done else TimeoutError(f"it did not close within {limit:g} s")
            if cause is not None:
                self.totals.failed += 1
                resource.report.event("resource_failed", cause=cause)


def _in_thread(call: Callable[[], None]) -> asyncio.Future[None]:
    """Run ``call`` in a daemon thread, for which the end of the process does not wait."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            call()
        except Exception as error:  # an exception of a resource is reported, and ends nothing else
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=run, name="flowcore-close", daemon=True).start()
    return asyncio.wrap_future(future)
