"""Resources of a plan: each distinct one is opened once before the first flow, and closed after the last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from flowcore.engine.admission import MessagePort
from flowcore.engine.bus import Bus
from flowcore.engine.totals import ProcessReport, Totals
from flowcore.errors import CannotStart, FlowcoreError
from flowcore.graph.plan import Plan
from flowcore.node import Resource
from flowcore.registry import describe_error

CLOSE_TIMEOUT = 5.0
"""Seconds that a resource may take to close, before the process ends without it."""


@dataclass
class Resources:
    """The open resources of one engine: all of them in ``opened``, and those of each node in ``by_node``."""

    totals: Totals
    bus: Bus
    now: Callable[[], float]
    messages: MessagePort | None
    opened: list[Resource] = field(default_factory=list)
    by_node: dict[str, Any] = field(default_factory=dict)

    async def open(self, plan: Plan) -> None:
        """Open each distinct resource, in threads: loading a model may take seconds. Raises `CannotStart`."""
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
            self.by_node[node.name] = same

    async def close(self, limit: float | None) -> None:
        """Close each resource, in a thread that is left behind if a model or a device hangs for ``limit`` seconds."""
        names = {id(resource): name for name, resource in reversed(self.by_node.items())}
        for resource in reversed(self.opened):
            closed = _in_thread(resource.close)
            done, _ = await asyncio.wait([closed], timeout=limit)
            cause = closed.exception() if done else TimeoutError(f"it did not close within {limit:g} s")
            if cause is not None:
                self.totals.failed += 1
                self.bus.emit("resource_failed", node=names[id(resource)], cause=cause)


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
