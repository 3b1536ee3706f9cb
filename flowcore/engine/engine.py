"""The engine: opens resources, lets the listener accept sessions, keeps their flows, and ends in order."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from flowcore import open_files
from flowcore.engine.admission import CallLimit, LocalCallLimit, MessagePort
from flowcore.engine.alarms import Alarms
from flowcore.engine.bus import Bus
from flowcore.engine.clock import Clock, SystemClock
from flowcore.engine.flow import CLOSED, OPENING, STOPPING, Flow
from flowcore.engine.pool import InlinePool, Pool, ThreadPool
from flowcore.engine.readiness import Readiness
from flowcore.engine.recovery import start_recovery
from flowcore.engine.resources import CLOSE_TIMEOUT, Resources
from flowcore.engine.silencing import RESOURCE, SilencedCalls
from flowcore.engine.slots import PERIOD, Slots
from flowcore.engine.sockets import Address, listen, seen_through
from flowcore.engine.stats import NodeStats, Sampler
from flowcore.engine.totals import ProcessReport, Totals
from flowcore.engine.watchdog import Watchdog
from flowcore.errors import AccountingError, CannotStart, Refused, Undeclared
from flowcore.graph.plan import Plan
from flowcore.graph.source import is_unchanged
from flowcore.metrics import Histogram, Metric
from flowcore.node import ConnectionCounter, Listener, Resource, Session
from flowcore.paths import PathTemplate

DRAIN_TIMEOUT = 10.0
"""Seconds that a flow may take to end by itself; then the nodes that hang are named and left behind."""
STOP_TIMEOUT = 20.0
"""Seconds that all flows together may take to end when the process stops."""
RECOVERY_TIMEOUT = 5.0
"""Seconds that the end of the process waits for `start_recovery`'s thread, which runs beside the calls."""
FILES_PER_PATH = 2
"""Files that a node with a path for each call is expected to keep open: a recording and its journal."""
BUSY = "busy"
OPEN_FILES = "open_files"
REFUSAL_ADVICE = {
    BUSY: "raise --max-calls, or run more machines; the peer was told to try again",
    OPEN_FILES: "raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd); the peer was told to try again",
    STOPPING: "nothing: the process ends, and the peer was told to try again",
}


class Engine:
    """Runs one plan. Implements `flowcore.node.Host` towards the listener.

    ``calls`` ends the engine after that many flows have closed; ``max_calls`` refuses more at once. A worker gets a
    shared ``call_limit`` instead of ``max_calls``, a port for ``messages`` to other workers, and the listening
    ``sockets`` that all workers share; its supervisor does the work of ``recover``. ``public`` is the address at which
    a proxy or tunnel shows this process. At its end a ``strict`` engine refuses events and reasons that no node
    declares. Everything here happens in the event loop's thread.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        clock: Clock | None = None,
        pool: Pool | None = None,
        bus: Bus | None = None,
        slot: float = PERIOD,
        drain: float = DRAIN_TIMEOUT,
        calls: int | None = None,
        max_calls: int = 2000,
        call_limit: CallLimit | None = None,
        messages: MessagePort | None = None,
        sockets: Mapping[Address, socket.socket] | None = None,
        recover: bool = True,
        new_id: Callable[[], str] | None = None,
        public: str = "",
        strict: bool = False,
    ) -> None:
        self.plan = plan
        self.clock = clock or SystemClock()
        self.pool = pool or ThreadPool()
        self.bus = bus or Bus()
        self.bus.declare(plan.nodes.values())
        self.bus.strict = strict
        self.bus.now = self.clock.now
        self.slots = Slots(self.clock, slot)
        self.flows: dict[str, Flow] = {}
        self.silenced = SilencedCalls()
        if messages is not None:
            messages.join(RESOURCE, self.silenced)
        self.totals = Totals()
        self.draining = False
        self.public = public
        self.call_limit = call_limit or LocalCallLimit(max_calls)
        self.now = self.clock.now
        self.slot = self.slots.next
        self.every_slot = self.slots.every
        self.room = self.call_limit.room
        self.on_opened: list[Callable[[Flow], None]] = []
        self.on_closed: list[Callable[[Flow], None]] = []
        self._drain = drain
        self._calls = calls
        self._sockets = sockets or {}
        self._recover = recover
        self._readiness = Readiness(plan, self.clock.now)
        self._new_id = new_id or (lambda: secrets.token_hex(4))
        self._loop_pool = InlinePool()
        self._listener: Any = plan.listener.cls(plan.listener.config)
        self._sampler = Sampler()
        self._alarms = Alarms(self.clock.now)
        values = (value for node in plan.nodes.values() for _, value in node.config)
        self._files_per_call = FILES_PER_PATH * sum(isinstance(value, PathTemplate) for value in values)
        self._unswept: dict[Flow, None] = {}  # a set that keeps its order: a replay closes flows as the call did
        self._resources = Resources(self.totals, self.bus, self.clock.now, messages)
        self._finished = asyncio.Event()
        self._finish_by: float | None = None  # set by `finish`
        self._last_session_came = False
        self.report = ProcessReport(self.totals, self.bus, plan.listener.name)
        self.slots.every(self._sampler.tick)
        self.slots.every(self._alarms.ring)
        self.slots.at_end(self._sweep)
        self.slots.at_end(self._stop_if_finished)

    # Called by the listener: see flowcore.node.Host.

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now() + seconds)

    def listen(self, address: str, port: int) -> socket.socket:
        shared = self._sockets.get((address, port))
        return listen(address, port) if shared is None else shared

    @property
    def connections(self) -> ConnectionCounter:
        return self.call_limit.connections

    def resources(self) -> list[Resource]:
        return self._resources.opened

    def measured(self) -> Iterator[tuple[str, Mapping[Metric, float | Histogram]]]:
        """Yield what the listener and each resource measure, with the name of the first node. From any thread."""
        measuring = {self.plan.listener.name: self._listener}
        for name, resource in tuple(self._resources.by_node.items()):
            if resource not in measuring.values():
                measuring[name] = resource
        for name, owner in measuring.items():
            try:
                yield name, owner.measure()
            except Exception as error:  # a mistake in one node's code must not hide all other metrics
                self.bus.emit("resource_failed", node=name, cause=error)

    def announce(self, what: str, address: str) -> None:
        address = seen_through(self.public, address)
        self.bus.emit("listener_opened", node=self.plan.listener.name, address=address, what=what)

    def offer(self, what: str, address: str) -> None:
        address = seen_through(self.public, address)
        self.bus.emit("page_opened", node=self.plan.listener.name, address=address, what=what)

    @property
    def objection(self) -> str:
        if self.draining:
            return STOPPING
        if self.call_limit.full:
            return BUSY
        opening = sum(flow.state == OPENING for flow in tuple(self.flows.values()))
        return OPEN_FILES if open_files.room().calls < (opening + 1) * self._files_per_call else ""

    @property
    def obstacle(self) -> str:
        return self._readiness.obstacle()

    def admit(self, address: str = "") -> None:
        if reason := self.objection:
            self._refuse(reason, address)

    def _refuse(self, reason: str, address: str) -> NoReturn:
        self.totals.refusals[reason] = self.totals.refusals.get(reason, 0) + 1
        self.bus.emit("session_refused", reason=reason, address=address, advice=REFUSAL_ADVICE[reason])
        raise Refused(reason, retry_after=5)

    def accept(self, attributes: Mapping[str, str], address: str = "") -> Flow:
        self.admit(address)
        if not self.call_limit.take():
            self._refuse(BUSY, address)
        started = self.clock.wall()
        ids = dict.fromkeys(attributes.get(name, "") for name in self.plan.listener.cls.call_ids)
        session = Session(
            f"{started:%Y%m%dT%H%M%S}-{self._new_id()}", started, dict(attributes), tuple(filter(None, ids))
        )
        flow = Flow(
            self.plan,
            session,
            clock=self.clock,
            pool=self.pool,
            loop_pool=self._loop_pool,
            bus=self.bus,
            sampler=self._sampler,
            alarms=self._alarms,
            resources=self._resources.by_node,
            silencing=self.silenced.of(attributes.get("call_id", "")),
            drain=self._drain,
            needs_sweep=self._mark_for_sweep,
        )
        self.flows[flow.id] = flow
        self.totals.flows += 1
        for callback in self.on_opened:
            callback(flow)
        flow.start()
        return flow

    # Start, end and sweeps.

    async def run(self) -> None:
        """Run until the listener has no more sessions, ``calls`` flows have closed, or `stop` was called.

        Raises `CannotStart` or `MissingExtra` before the first flow; afterwards only a listener's own failure, and,
        where the engine is strict, `Undeclared`.
        """
        listener = self._listener
        listener.report = self.report
        beat = finished = listening = None
        watchdog = Watchdog(self.slots, self.pool, self.bus) if isinstance(self.pool, ThreadPool) else None
        recovery = None
        try:
            await self._resources.open(self.plan)
            if watchdog is not None:
                watchdog.start()
            if self._recover:
                recovery = start_recovery(self.plan, self.bus)
            self._check_open_files()
            self.call_limit.join()
            listener.resource = self._resources.by_node.get(self.plan.listener.name)
            beat = asyncio.create_task(self.slots.run(), name="slots")
            finished = asyncio.create_task(self._finished.wait(), name="finished")
            listening = asyncio.create_task(self._listen(listener), name="listener")
            await asyncio.wait({listening, finished, beat}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done() and self.flows and not listening.exception():
                self._last_session_came = True
                await asyncio.wait({finished, beat}, return_when=asyncio.FIRST_COMPLETED)
            if not beat.done():
                await self._end_flows()
            for ended in (listening, beat):
                if ended.done():
                    ended.result()
        finally:
            self.draining = True
            for task in (listening, finished, beat):
                if task is not None:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
            await self._resources.close(CLOSE_TIMEOUT if watchdog is not None else None)  # none on a virtual clock
            if watchdog is not None:
                watchdog.stop()
            if recovery is not None:
                recovery.join(RECOVERY_TIMEOUT)
            self.report.conclude()
            self.bus.flush()
            self.pool.close()
        if self.bus.strict:
            self._check_declared()

    def _check_open_files(self) -> None:
        """Report a limit of open files that is too low for the calls that this process has to expect."""
        found = open_files.room()
        calls = found.calls // (1 + self._files_per_call)  # one is the connection
        if calls < self.call_limit.share and self.plan.listener.cls.listens(self.plan.listener.config):
            advice = f"raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd), or give --max-calls {max(1, calls)}"
            self.bus.emit("open_files_limited", limit=found.limit, calls=max(0, calls), advice=advice)

    def _check_declared(self) -> None:
        wrong = [*self.bus.undeclared]
        for name, stats in self.totals.nodes.items():
            wrong += self.bus.declared.objections(name, (*stats.dropped, *stats.filled))
        if wrong:
            raise Undeclared("; ".join(wrong))

    def reload(self) -> None:
        """Let the listener read its files again, for new sessions; an event reports success or the error."""
        graph = self.plan.name
        try:
            files = self._listener.reload()
        except CannotStart as error:
            error.node = error.node or self.plan.listener.name
            self.bus.emit("reload_failed", cause=error)
        else:
            if files is not None and not files:
                self.bus.emit("nothing_reloaded", kept=graph, advice="to use a new graph, restart")
            else:
                self.bus.emit("files_reloaded", files=[str(path) for path in files or ()], kept=graph)
        for path, text in self.plan.sources.items():
            if not is_unchanged(path, text):
                self.bus.emit("graph_changed", path=path, advice=f"flowcore check {graph}, then restart")

    def finish(self, seconds: float) -> None:
        """Take no more sessions; `stop` once no flow is left, or after ``seconds``."""
        self.draining = True
        self.call_limit.leave()
        self._finish_by = self.now() + seconds

    def _stop_if_finished(self) -> None:
        if self._finish_by is not None and (not self.flows or self.now() >= self._finish_by):
            self._finish_by = None
            self.stop()

    @property
    def stopping(self) -> bool:
        """Whether `run` ends all flows, or has ended them."""
        return self._finished.is_set()

    def stop(self) -> None:
        """Take no more sessions, end all flows, and let `run` return within ``STOP_TIMEOUT`` seconds."""
        self.draining = True
        self.call_limit.leave()
        self._finished.set()

    async def _listen(self, listener: Listener[Any]) -> None:
        try:
            await listener.run(self)
        except CannotStart as error:
            error.node = error.node or self.plan.listener.name
            raise

    async def _end_flows(self) -> None:
        self.draining = True
        self.call_limit.leave()
        until = self.now() + STOP_TIMEOUT
        for flow in tuple(self.flows.values()):
            flow.end(STOPPING)
        while self.flows and self.now() < until:
            await self.slot()
        await self.slot()  # chains that were given up close their nodes in it

    def _mark_for_sweep(self, flow: Flow) -> None:
        self._unswept[flow] = None

    def _sweep(self) -> None:
        """End a slot: run strands, sweep the flows that need it, deliver events."""
        self._loop_pool.rebalance()
        self.pool.rebalance()
        if self._unswept:
            for flow in tuple(self._unswept):
                self._unswept.pop(flow, None)
                if flow.sweep():
                    self._unswept[flow] = None
                elif flow.state == CLOSED:
                    self._closed(flow)
        self.bus.deliver()

    def _closed(self, flow: Flow) -> None:
        if self.flows.pop(flow.id, None) is None:
            flow.release()  # closed before; a chain that was given up has ended now
            return
        self.call_limit.give_back()
        totals = self.totals
        totals.reasons[flow.reason] = totals.reasons.get(flow.reason, 0) + 1
        totals.failed += bool(flow.failures)
        totals.lost.add(flow.losses())
        for name, stats in flow.stats().items():
            totals.nodes.setdefault(name, NodeStats()).add(stats)
        for callback in self.on_closed:
            callback(flow)
        try:
            flow.check_balance()
        except AccountingError as error:
            totals.failed += not flow.failures
            self.bus.emit("flow_unbalanced", flow.id, detail=str(error))
        flow.release()
        enough = self._calls is not None and totals.ended >= self._calls
        if enough or (self._last_session_came and not self.flows):
            self._finished.set()
