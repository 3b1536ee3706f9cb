"""The live calls of a whole run: those of all its processes, sorted together."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from heapq import merge
from importlib.metadata import version
from itertools import islice
from typing import Any, Final, Protocol

from flowcore.control.handler import ControlHandler, ask_all
from flowcore.control.live_calls import Rank
from flowcore.control.live_query import LiveQuery
from flowcore.control.recent_events import RecentEvents
from flowcore.engine.event_fields import plain
from flowcore.engine.totals import Totals
from flowcore.errors import UsageError
from flowcore.graph.plan import Plan

LARGEST: Final = frozenset({"worst_ms", "limit_ms", "chain"})
"""Numbers of a node of which processes show the largest, not the sum."""


class Runner(Protocol):
    """An engine or a supervisor."""

    @property
    def plan(self) -> Plan:
        """The plan that new sessions get."""

    @property
    def draining(self) -> bool:
        """Whether the run takes no more calls."""


@dataclass(eq=False)
class RunLive:
    """Answers for the processes behind ``handlers``, which are known by worker number.

    ``ended`` returns the totals of processes that have ended; ``events`` are those of the process that started them.
    """

    runner: Runner
    handlers: Mapping[int, ControlHandler]
    max_calls: int
    ended: Callable[[], Totals] = Totals
    events: RecentEvents | None = None

    async def page(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the request ``live``: a page of the live calls, and the figures of the run; or an ``error``."""
        try:
            query = LiveQuery.parse(request)
        except UsageError as error:
            return {"error": str(error)}
        handlers = dict(self.handlers)
        answers, missing = await ask_all(handlers, {**query.request(), "ask": "live_ranks"})
        ranked = merge(*([(rank, worker) for rank in one["ranks"]] for worker, one in answers.items()))
        page = list(islice(ranked, query.offset, query.offset + query.limit))
        calls, silent = await self._rows(handlers, page, query.levels)
        return {
            "at": max((one["at"] for one in answers.values()), default=time.monotonic()),
            "run": self._run(answers.values()),
            "processes": [{"worker": worker, **one["process"]} for worker, one in sorted(answers.items())],
            "missing": sorted({*missing, *silent}),
            "matched": sum(one["matched"] for one in answers.values()),
            "calls": calls,
            "nodes": _added(one["nodes"] for one in answers.values()),
            "events": self._latest_events(answers, query.events),
        }

    async def call(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Answer the request ``live_call``: all that is known of a flow; None when no process has it."""
        answers, _ = await ask_all(dict(self.handlers), request)
        for worker, found in answers.items():
            if found is not None:
                events = [{**event, "worker": worker} for event in found["events"]]
                return {**found, "call": {**found["call"], "worker": worker}, "events": events}
        return None

    async def _rows(
        self, handlers: Mapping[int, ControlHandler], page: list[tuple[Rank, int]], levels: bool
    ) -> tuple[list[dict[str, Any]], list[int]]:
        """Return the rows of a page, without calls that have ended meanwhile, and the workers without an answer."""
        flows: dict[int, list[str]] = {}
        for rank, worker in page:
            flows.setdefault(worker, []).append(rank[-1])
        asked = [
            ask_all({worker: handlers[worker]}, {"ask": "live_rows", "flows": own, "levels": levels})
            for worker, own in flows.items()
        ]
        rows: dict[str, dict[str, Any]] = {}
        silent: list[int] = []
        for answers, missing in await asyncio.gather(*asked):
            silent += missing
            for worker, found in answers.items():
                rows |= {flow: {**row, "worker": worker} for flow, row in found.items()}
        return [rows[rank[-1]] for rank, _ in page if rank[-1] in rows], silent

    def _run(self, answers: Collection[Mapping[str, Any]]) -> dict[str, Any]:
        ended = self.ended()
        totals = Counter(started=ended.flows, ended=ended.ended, failed=ended.failed, refused=ended.refused)
        versions: Counter[str] = Counter()
        for one in answers:
            totals.update(one["totals"])
            versions.update(one["versions"])
        return {
            "graph": plain(self.runner.plan.name),
            "flowcore": version("flowcore"),
            "version": next((one["process"]["version"] for one in answers), ""),
            "draining": self.runner.draining,
            "calls": sum(one["process"]["calls"] for one in answers),
            "limit": self.max_calls,
            "versions": versions,
            **totals,
            "lost_ms": round(ended.lost.seconds * 1000) + sum(one["lost_ms"] for one in answers),
        }

    def _latest_events(self, answers: Mapping[int, Any], count: int) -> list[dict[str, Any]]:
        events = [{**event, "worker": worker} for worker, one in answers.items() for event in one["events"]]
        if self.events is not None:
            events += [{**event, "worker": 0} for event in self.events.latest(count)]
        return sorted(events, key=lambda event: event["timestamp"])


def _added(nodes_of_processes: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the nodes of all processes, each once, with the sums of their counters."""
    nodes: dict[str, dict[str, Any]] = {}
    for own in nodes_of_processes:
        for node in own:
            nodes[node["name"]] = _sum(nodes[node["name"]], node) if node["name"] in nodes else node
    return list(nodes.values())


def _sum(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(mine)
    for key, value in theirs.items():
        before = result.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            result[key] = _sum(before, value)
        elif isinstance(value, int | float) and isinstance(before, int | float):
            result[key] = max(before, value) if key in LARGEST else before + value
        else:
            result[key] = value
    return result
