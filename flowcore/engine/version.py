"""Versions of the graph that an engine runs: new flows get the current one, and each flow keeps its own.

The resources of a version stay open as long as it is current or a flow has it. A resource that is the same in two
versions is opened once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from flowcore.engine.admission import MessagePort
from flowcore.engine.bus import Bus
from flowcore.engine.resources import Resources
from flowcore.engine.totals import Totals
from flowcore.graph.plan import Plan
from flowcore.paths import PathTemplate
from flowcore.resource import Resource

FILES_PER_PATH: Final = 2
"""Files that a node with a path for each call is expected to keep open: a recording and its journal."""


@dataclass(eq=False)
class Version:
    """A plan with its number, which counts from 1, the open ``resources`` of its nodes, and its running ``flows``."""

    number: int
    plan: Plan
    resources: dict[str, Any] = field(default_factory=dict)
    flows: int = 0

    def __str__(self) -> str:
        return version_name(self.number, self.plan)

    @cached_property
    def files_per_call(self) -> int:
        """Files that a call is expected to keep open."""
        values = (value for node in self.plan.nodes.values() for _, value in node.config)
        return FILES_PER_PATH * sum(isinstance(value, PathTemplate) for value in values)


def version_name(number: int, plan: Plan) -> str:
    """Return a version as people see it: its number and the first digits of the plan's checksum, as ``2-3fa9c1d2``."""
    return f"{number}-{plan.sha256[:8]}"


class Versions:
    """The current version, those before it that still have flows, and the next one while it is prepared.

    ``close_timeout`` is the time in seconds that a resource may take to close; None for as long as it takes.
    """

    def __init__(
        self,
        first: Version,
        totals: Totals,
        bus: Bus,
        now: Callable[[], float],
        messages: MessagePort | None,
        close_timeout: float | None,
    ) -> None:
        self.current = first
        self._bus = bus
        self._old: list[Version] = []
        self._next: Version | None = None
        self._resources = Resources(totals, bus, now, messages)
        self._close_timeout = close_timeout
        self._closing: set[asyncio.Task[None]] = set()
        bus.declare(first.plan.nodes.values())

    @property
    def resources(self) -> list[Resource]:
        """The open resources of all versions."""
        return self._resources.opened

    async def open(self) -> None:
        """Open the resources of the current version. Raises `CannotStart`."""
        await self._resources.open(self.current.plan, self.current.resources)

    async def prepare(self, next: Version) -> None:
        """Open the resources of the next version. Raises `CannotStart`; `activate` or `discard` follows in any case."""
        self._next = next
        self._bus.declare(next.plan.nodes.values())
        await self._resources.open(next.plan, next.resources)

    def activate(self) -> None:
        """Make the next version the current one."""
        assert self._next is not None  # noqa: S101  # for mypy
        self._old.append(self.current)
        self.current, self._next = self._next, None
        self._close_unused()

    def discard(self) -> None:
        """Forget the next version."""
        self._next = None
        self._close_unused()

    def flow_closed(self, version: Version) -> None:
        """Count the end of a flow."""
        version.flows -= 1
        if not version.flows and version is not self.current:
            self._close_unused()

    def _close_unused(self) -> None:
        self._old = [version for version in self._old if version.flows]
        versions = [*self._old, self.current, *([self._next] if self._next else [])]
        used = [resource for version in versions for resource in version.resources.values()]
        closing = asyncio.create_task(self._resources.close(self._close_timeout, used))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close the resources of all versions."""
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._resources.close(self._close_timeout)
