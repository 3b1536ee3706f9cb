"""The engine: opens resources, lets the listener accept sessions, keeps their flows, and ends in order.

A reload gives new sessions another version of the graph (`flowcore.engine.version`): first `Engine.prepare`, then
`Engine.activate`.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
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
from flowcore.engine.resources import CLOSE_TIMEOUT
from flowcore.engine.silencing import RESOURCE, SilencedCall, SilencedCalls
from flowcore.engine.slots import PERIOD, Slots
from flowcore.engine.sockets import Address, listen, seen_through
from flowcore.engine.stats import Sampler
from flowcore.engine.totals import ProcessReport, Totals
from flowcore.engine.version import Version, Versions
from flowcore.engine.watchdog import Watchdog
from flowcore.errors import AccountingError, CannotStart, Refused, Undeclared
from flowcore.graph.plan import Plan
from flowcore.listener import ConnectionCounter, Listener
from flowcore.metrics import Histogram, Metric
from flowcore.node import Session
from flowcore.resource import Resource

DRAIN_TIMEOUT = 10.0
"""Seconds that a flow may take to end by itself; then the nodes that hang are named and left behind."""
STOP_TIMEOUT = 20.0
"""Seconds that all flows together may take to end when the process stops."""
RECOVERY_TIMEOUT = 5.0
"""Seconds that the end of the process waits for `start_recovery`'s thread, which runs beside the calls."""
BUSY = "busy"
OPEN_FILES = "open_files"
REFUSAL_ADVICE = {
    BUSY: "raise --max-calls, or run more machines; the peer was told to try again",
    OPEN_FILES: "raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd); the peer was told to try again",
    STOPPING: "nothing: the process ends, and the peer was told to try again",
}


class Engine:
    """Runs a plan. Implements `flowcore.listener.Host` towards the listener.

    ``calls`` ends the engine after that many flows have closed; ``max_calls`` refuses more at once. A worker gets a
    shared ``call_limit`` instead of ``max_calls``, a port for ``messages`` to other workers, and the listening
    ``sockets`` that all workers share; its supervisor does the work of ``recover``. ``public`` is the address at which
    a proxy or tunnel shows this process. At its end a ``strict`` engine refuses events and reasons that no node
    declares. ``version`` is the number of the plan. Everything here happens in the event loop's thread.
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
        version: int = 1,
    ) -> None:
        self.clock = clock or SystemClock()
        self.pool = pool or ThreadPool()
        self.bus = bus or Bus()
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
        self.trace_of: Callable[[str], str] = lambda flow: ""
        """Returns the id of a flow's trace; nothing where no trace of it is sent."""
        self._drain = drain
        self._calls = calls
        self.sockets = dict(sockets or {})
        self._recover = recover
        self._readiness = Readiness(plan, self.clock.now)
        self._new_id = new_id or (lambda: secrets.token_hex(4))
        self._loop_pool = InlinePool()
        self._listener: Any = plan.listener.cls(plan.listener.config)
        self._sampler = Sampler()
        self._alarms = Alarms(self.clock.now)
        self._recoveries: list[threading.Thread] = []
        self._unswept: dict[Flow, None] = {}  # a set that keeps its order: a replay closes flows as the call did
        timeout = CLOSE_TIMEOUT if isinstance(self.pool, ThreadPool) else None  # none on a virtual clock
        self._versions = Versions(Version(version, plan), self.totals, self.bus, self.clock.now, messages, timeout)
        self._finished = asyncio.Event()
        self._finish_by: float | None = None  # set by `finish` and `hand_over`
        self._last_session_came = False
        self.report = ProcessReport(self.totals, self.bus, plan.listener.name)
        self.slots.every(self._sampler.tick)
        self.slots.every(self._alarms.ring)
        self.slots.at_end(self._sweep)
        self.slots.at_end(self._stop_if_finished)

    @property
    def version(self) -> Version:
        """The version of the graph that new sessions get."""
        return self._versions.current

    @property
    def plan(self) -> Plan:
        """The plan that new sessions get."""
        return self.version.plan

    # Called by the listener: see flowcore.listener.Host.

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now() + seconds)

    def listen(self, address: str, port: int) -> socket.socket:
        if (address, port) not in self.sockets:
            self.sockets[address, port] = listen(address, port)
        return self.sockets[address, port]

    @property
    def connections(self) -> ConnectionCounter:
        return self.call_limit.connections

    def resources(self) -> list[Resource]:
        return self._versions.resources

    def measured(self) -> Iterator[tuple[str, Mapping[Metric, float | Histogram]]]:
        """Yield what the listener and each resource measure, with the name of the first node. From any thread."""
        measuring = [(self.plan.listener.name, self._listener)]  # a listener may have a resource, too
        for name, resource in tuple(self.version.resources.items()):
            if all(resource != owner for _, owner in measuring):
                measuring.append((name, resource))
        for name, owner in measuring:
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
        return OPEN_FILES if open_files.room().calls < (opening + 1) * self.version.files_per_call else ""

    @property
    def obstacle(self) -> str:
        return self._readiness.obstacle()

    @property
    def node_room(self) -> Mapping[str, float]:
        """How many flows the nodes could do their work for, by what is used up then, as far as known."""
        return self._readiness.room()

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
        started, version = self.clock.wall(), self.version
        ids = dict.fromkeys(attributes.get(name, "") for name in version.plan.listener.cls.call_ids)
        session = Session(
            f"{started:%Y%m%dT%H%M%S}-{self._new_id()}", started, dict(attributes), tuple(filter(None, ids))
        )
        flow = Flow(
            version,
            session,
            clock=self.clock,
            pool=self.pool,
            loop_pool=self._loop_pool,
            bus=self.bus,
            sampler=self._sampler,
            alarms=self._alarms,
            silencing=self.silenced.of(attributes.get("call_id", "")),
            drain=self._drain,
            needs_sweep=self._mark_for_sweep,
        )
        self.flows[flow.id] = flow
        self.totals.flows += 1
        version.flows += 1
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
        version = self.version
        try:
            await self._versions.open()
            if watchdog is not None:
                watchdog.start()
            self._start_recovery(version.plan)
            self._check_open_files()
            self.call_limit.join()
            listener.resource = version.resources.get(version.plan.listener.name)
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
            await self._versions.close()
            if watchdog is not None:
                watchdog.stop()
            for recovery in self._recoveries:
                recovery.join(RECOVERY_TIMEOUT)
            self.report.conclude()
            self.bus.flush()
            self.pool.close()
        if self.bus.strict:
            self._check_declared()

    def _check_open_files(self) -> None:
        """Report a limit of open files that is too low for the calls that this process has to expect."""
        found = open_files.room()
        calls = found.calls // (1 + self.version.files_per_call)  # one is the connection
        if calls < self.call_limit.share and self.plan.listener.cls.listens(self.plan.listener.config):
            advice = f"raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd), or give --max-calls {max(1, calls)}"
            self.bus.emit("open_files_limited", limit=found.limit, calls=max(0, calls), advice=advice)

    def _check_declared(self) -> None:
        wrong = [*self.bus.undeclared]
        for name, stats in self.totals.nodes.items():
            wrong += self.bus.declared.objections(name, (*stats.dropped, *stats.filled))
        if wrong:
            raise Undeclared("; ".join(wrong))

    def _start_recovery(self, plan: Plan) -> None:
        if self._recover:
            self._recoveries = [one for one in self._recoveries if one.is_alive()]
            self._recoveries.append(start_recovery(plan, self.bus))

    async def prepare(self, plan: Plan, number: int) -> None:
        """Prepare a plan to become version ``number``, and let the listener read its files again.

        `activate` or `discard` follows. Raises `CannotStart`, and changes nothing.
        """
        try:
            await self._versions.prepare(Version(number, plan))
            self._reload_listener()
        except BaseException:
            self.discard()
            raise

    def _reload_listener(self) -> None:
        try:
            files = self._listener.reload()
        except CannotStart as error:
            error.node = error.node or self.plan.listener.name
            raise
        if files:
            self.bus.emit("files_reloaded", files=[str(path) for path in files])

    def activate(self) -> None:
        """Give new sessions the plan of `prepare`."""
        self._versions.activate()
        self._start_recovery(self.plan)
        self._check_open_files()

    def discard(self) -> None:
        """Forget the plan of `prepare`."""
        self._versions.discard()

    def change_plan(self, plan: Plan) -> None:
        """Give new sessions a plan that differs from the current one in live fields only, until the next version."""
        self.version.plan = plan

    def finish(self, seconds: float) -> None:
        """Take no more sessions; `stop` once no flow is left, or after ``seconds``."""
        self.draining = True
        self.call_limit.leave()
        self._finish_by = self.now() + seconds

    def hand_over(self, seconds: float) -> None:
        """Let another process accept from ``sockets``; `finish` once no session can come on an open connection.

        ``seconds`` is the time that running flows have from now on.
        """
        self._listener.leave_port()
        self.call_limit.leave()
        by = self.now() + seconds
        self._finish_by = by if self._finish_by is None else min(by, self._finish_by)

    def _stop_if_finished(self) -> None:
        if self._finish_by is None:
            return
        late = self.now() >= self._finish_by
        self.draining = self.draining or late or not self._listener.expecting
        if late or (self.draining and not self.flows):
            self._finish_by = None
            self.stop()

    def silence(self, entry: SilencedCall) -> None:
        """Silence a call as another process does."""
        self.silenced.on_worker_message(0, entry)

    def repair(self) -> None:
        """Repair files of a process that has ended."""
        self._start_recovery(self.plan)

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
        flow.add_to(totals.nodes)
        for callback in self.on_closed:
            callback(flow)
        try:
            flow.check_balance()
        except AccountingError as error:
            totals.failed += not flow.failures
            self.bus.emit("flow_unbalanced", flow.id, detail=str(error))
        flow.release()
        self._versions.flow_closed(flow.version)
        enough = self._calls is not None and totals.ended >= self._calls
        if enough or (self._last_session_came and not self.flows):
            self._finished.set()
