"""The metrics of a whole run: those of all its processes, added up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from msgspec import Raw

from flowcore.control.handler import ControlHandler, ask_all
from flowcore.control.shared_answer import SharedAnswer
from flowcore.engine.totals import Totals
from flowcore.graph.plan import Plan
from flowcore.metrics import Metric
from flowcore.telemetry.declared import BUILD, DRAINS, ENGINE_METRICS, LIMIT, WORKERS
from flowcore.telemetry.engine_metrics import totals_samples
from flowcore.telemetry.exposition import answer
from flowcore.telemetry.samples import Samples

MAX_AGE: Final = 5.0
"""Seconds for which scrapers share an answer: one each 10 ms costs the calls no more than one every 5 s."""


@dataclass(eq=False)
class RunMetrics:
    """Adds up the metrics of the processes behind ``handlers``, which are known by worker number.

    ``own`` returns those of the process that started them. Counters never go down: a process that does not answer
    counts with its last answer, and one that has ended with that or with its last totals, whichever is more.
    """

    plan: Plan
    handlers: Mapping[int, ControlHandler]
    max_calls: int
    draining: Callable[[], bool]
    own: Callable[[], Samples] = Samples
    now: Callable[[], float] = time.monotonic
    _last: dict[int, Samples] = field(default_factory=dict)
    _ended: Samples = field(default_factory=Samples)

    def __post_init__(self) -> None:
        self.metrics: tuple[Metric, ...] = ENGINE_METRICS
        self.answer = SharedAnswer(self._read_answer, MAX_AGE, self.now)
        """The message for `flowcore.telemetry.exposition.text_of`, with values at most `MAX_AGE` old."""
        self._version = version("flowcore")  # reads files
        self.declare(self.plan)

    def declare(self, plan: Plan) -> None:
        """Take the metrics of the nodes of ``plan``, beside those known before."""
        nodes = (metric for node in plan.nodes.values() for metric in node.cls.metrics)
        self.metrics = tuple(dict.fromkeys((*self.metrics, *nodes)))
        self._counters = frozenset(metric.name for metric in self.metrics if metric.kind != "gauge")

    def worker_ended(self, number: int, totals: Totals) -> None:
        """Keep the counters of worker ``number``, which has ended with these totals."""
        counters = totals_samples(totals)
        counters.raise_to(self._last.pop(number, Samples()), self._counters)
        self._ended.add(counters)

    def run_ended(self, number: int) -> None:
        """Keep the counters of worker ``number``, of a run before this one, which has ended."""
        self.worker_ended(number, Totals())

    async def read(self) -> Samples:
        """Return the present values. In the event loop's thread; the handlers read in theirs."""
        asked = dict(self.handlers)
        answers, missing = await ask_all(asked, {"ask": "metrics"})
        for number, given in answers.items():
            if self.handlers.get(number) is asked[number]:  # else it has ended meanwhile, and is counted
                samples = Samples.from_message(given)
                samples.raise_to(self._last.get(number, Samples()), self._counters)
                self._last[number] = samples
        result = self.own()
        result.add(self._ended)
        for number, samples in self._last.items():
            result.add(samples.only(self._counters) if number in missing else samples)
        result.count(LIMIT, self.max_calls)
        result.count(DRAINS, float(self.draining()))
        result.count(WORKERS, len(answers), "answered")
        result.count(WORKERS, len(missing), "silent")
        result.count(BUILD, 1, self._version)
        return result

    async def _read_answer(self) -> Raw:
        return answer(await self.read(), self.metrics)
