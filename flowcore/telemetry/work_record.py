"""A record of one call's work, for ui.perfetto.dev: what each node did and when, and what waited in queues.

The events are those of Chrome's Trace Event Format, which Perfetto opens. They have times, lengths and names of nodes,
events and reasons; no audio, no text, no id of the peer's.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any, Final

from flowcore.engine.bus import Event
from flowcore.engine.flow import CLOSED, Flow
from flowcore.engine.node_run import NodeRun

MAX_EVENTS: Final = 100_000
"""Events that wait to be taken; further ones are lost and counted. A call of ten nodes makes some 1,000 a second."""
MAX_GAPS: Final = 100
"""Latest gaps of the call that are looked at each time."""
MAX_QUEUED: Final = 10_000
"""Chunks in one queue whose wait is measured at the same time."""
IDLE: Final = 20e-6
"""Seconds of a call to `collect` that found nothing; it is left out."""
MICROSECONDS: Final = 1e6
CALL: Final = 0
"""The row of what concerns the whole call; chain n has row n + 1."""


class SlotClock:
    """A virtual clock with the real time of the work in each of its slots, which it passes in no time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._slot = self._shown = self._latest = 0.0
        self._began = perf_counter()

    def __call__(self) -> float:
        slot, real = self._now(), perf_counter()
        if slot != self._slot:
            self._slot, self._began = slot, real
            self._shown = max(slot, self._latest)  # the work of the slot before may have taken longer than a slot
        self._latest = self._shown + real - self._began
        return self._latest


class WorkRecord:
    """The events of one flow between `begin` and `end`; ``pid`` is its number in the file.

    A `flowcore.engine.node_run.WorkObserver`. Both may be called from any thread.
    """

    def __init__(self, flow: Flow, now: Callable[[], float], pid: int = 1) -> None:
        self.flow = flow
        self.now = now
        self.lost = 0
        """Events that found no room."""
        self._pid = pid
        self._began_at = now()
        self._events: deque[dict[str, Any]] = deque()
        self._runs = dict(flow.runs)
        self._borders = dict(flow.borders)
        self._put_at: dict[str, OrderedDict[int, float]] = {name: OrderedDict() for name in self._borders}
        self._probes: list[tuple[NodeRun, int, Callable[[Any], None]]] = []
        self._counted: dict[tuple[str, str, str], tuple[int, float]] = {}
        self._gaps: set[tuple[str, str, str, float]] = set()
        self._waits = 0
        self._ended = False

    def begin(self) -> None:
        """Observe all nodes of the flow and the queues before them."""
        self._name_rows()
        self._count_losses(report=False)
        for run in self._runs.values():
            run.observe(self)
            for source, port in run.plan.inputs if run.plan.name in self._borders else ():
                self._probes.append((self._runs[source], port, partial(self._queued, run.plan.name)))
        for run, number, probe in self._probes:
            run.add_probe(number, probe)

    def end(self) -> None:
        """Observe nothing any more. A second call does nothing."""
        ended, self._ended = self._ended, True
        if not ended and self.flow.state != CLOSED:
            for run in self._runs.values():
                run.observe(None)
            for run, number, probe in self._probes:
                run.remove_probe(number, probe)
        self._probes.clear()

    def take(self, count: int) -> list[dict[str, Any]]:
        """Return the next events, and forget them."""
        return [self._events.popleft() for _ in range(min(count, len(self._events)))]

    # Told by the nodes' threads.

    def worked(self, run: NodeRun, what: str, began: float, chunk: Any) -> None:
        name, ended = run.plan.name, self.now()
        if chunk is not None and (put_at := self._put_at.get(name)) and (since := put_at.pop(id(chunk), None)):
            self._add_wait(name, since, began)
        if chunk is None and ended - began < IDLE:
            return  # nothing was there to be collected
        data = {"audio_ms": round(chunk.seconds * 1000, 3)} if chunk is not None else {}
        span = {"ph": "X", "name": name, "cat": what, "dur": _micro(ended - began)}
        self._add(began, run.plan.chain + 1, span, data)

    def _queued(self, name: str, chunk: Any) -> None:
        waiting = self._put_at[name]
        waiting[id(chunk)] = self.now()
        if len(waiting) > MAX_QUEUED:  # dropped ones are never taken
            waiting.popitem(last=False)

    def _add_wait(self, name: str, since: float, until: float) -> None:
        self._waits += 1
        span = {"name": f"queue before {name}", "cat": "wait", "id": self._waits}
        self._add(since, CALL, {"ph": "b", **span})
        self._add(until, CALL, {"ph": "e", **span})

    # Told by the event loop, or asked from time to time.

    def event(self, event: Event) -> None:
        """Add an event of the flow, with its numbers."""
        run = self._runs.get(event.node)
        data = {name: value for name, value in event.data.items() if isinstance(value, int | float)}
        row = CALL if run is None else run.plan.chain + 1
        self._add(self.now(), row, {"ph": "i", "s": "t", "name": event.name, "cat": "event"}, data)

    def poll(self) -> None:
        """Add what waits in queues now, and what was dropped or filled in since the last time."""
        now = self.now()
        for name, border in self._borders.items():
            counter = {"ph": "C", "name": f"queued before {name}", "cat": "queue"}
            self._add(now, CALL, counter, {"ms": _ms(border.depth)})
        self._count_losses()
        self._add_gaps()

    def _add_gaps(self) -> None:
        """Add stretches of the call that are missing, where they are missing."""
        for node, reason, gap in self.flow.gaps.latest(MAX_GAPS):
            key = node, reason, gap.track, gap.start
            at = self.flow.opened_at + gap.start
            if key not in self._gaps and at >= self._began_at:
                span = {"name": f"gap: {reason.partition(':')[0]}", "cat": "gap", "id": f"gap {len(self._gaps)}"}
                self._add(at, CALL, {"ph": "b", **span}, {"node": node, "track": gap.track})
                self._add(at + gap.end - gap.start, CALL, {"ph": "e", **span})
            self._gaps.add(key)

    def _count_losses(self, *, report: bool = True) -> None:
        for name, stats in self.flow.stats().items():
            for what, reasons in (("dropped", stats.dropped), ("filled", stats.filled)):
                for reason, tally in reasons.items():
                    key = name, what, reason.partition(":")[0]
                    chunks, seconds = self._counted.get((name, what, reason), (0, 0.0))
                    self._counted[name, what, reason] = tally.chunks, tally.seconds
                    if report and (tally.chunks, tally.seconds) != (chunks, seconds):
                        data = {"chunks": tally.chunks - chunks, "ms": _ms(tally.seconds - seconds)}
                        row = self._runs[name].plan.chain + 1
                        mark = {"ph": "i", "s": "t", "name": f"{what}: {key[2]}", "cat": "loss"}
                        self._add(self.now(), row, mark, {"node": name, **data})

    def _name_rows(self) -> None:
        chains: dict[int, list[str]] = {}
        for name, run in self._runs.items():
            chains.setdefault(run.plan.chain, []).append(name)
        rows = {CALL: "call"} | {
            number + 1: f"chain {number}, {'a thread' if number else 'the event loop'}: {', '.join(names)}"
            for number, names in chains.items()
        }
        self._name("process_name", CALL, {"name": f"flow {self.flow.id}"})
        for row, name in rows.items():
            self._name("thread_name", row, {"name": name})
            self._name("thread_sort_index", row, {"sort_index": row})

    def _name(self, name: str, row: int, data: Mapping[str, Any]) -> None:
        self._events.append({"ph": "M", "name": name, "pid": self._pid, "tid": row, "args": data})

    def _add(self, at: float, row: int, event: dict[str, Any], data: Mapping[str, Any] | None = None) -> None:
        if len(self._events) >= MAX_EVENTS:
            self.lost += 1
            return
        place = {"ts": _micro(max(0.0, at - self._began_at)), "pid": self._pid, "tid": row}
        self._events.append({**event, **place, **({"args": data} if data else {})})


def _micro(seconds: float) -> float:
    return round(seconds * MICROSECONDS, 3)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
