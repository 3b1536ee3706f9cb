"""The engine: opens what is shared, lets the listener accept sessions, keeps their flows, and ends in order."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from flowcore.engine.admission import CallLimit, LocalCallLimit, MessagePort
from flowcore.engine.alarms import Alarms
from flowcore.engine.bus import Bus
from flowcore.engine.clock import Clock, SystemClock
from flowcore.engine.flow import Flow
from flowcore.engine.pool import InlinePool, Pool, ThreadPool
from flowcore.engine.recovery import Recovery
from flowcore.engine.slots import PERIOD, Slots
from flowcore.engine.sockets import Address, listen, seen_through
from flowcore.engine.stats import NodeStats, Sampler
from flowcore.engine.watchdog import Watchdog
from flowcore.errors import AccountingError, CannotStart, FlowcoreError, Refused, Undeclared
from flowcore.events import Level
from flowcore.graph.broken import describe_error
from flowcore.graph.plan import Plan
from flowcore.node import ConnectionCounter, Listener, Resource, Session

DRAIN = 10.0
"""Seconds that a flow may take to end by itself; then what hangs is named and left behind."""
STOP = 20.0
"""Seconds that all flows together may take when the process is asked to stop."""
CLOSE = 5.0
"""Seconds that a part may take to close, before the process ends without it."""
RECOVERY = 5.0
"""Seconds that the end waits for the repair of what an earlier process left, which goes on beside the calls."""
BUSY = "busy"
STOPPING = "stopping"


@dataclass
class Totals:
    """What the engine has done since it started."""

    flows: int = 0
    failed: int = 0
    refused: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, NodeStats] = field(default_factory=dict)

    def add(self, other: Totals) -> None:
        """Sum up: for the totals of several workers."""
        self.flows += other.flows
        self.failed += other.failed
        self.refused += other.refused
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count
        for name, stats in other.nodes.items():
            self.nodes.setdefault(name, NodeStats()).add(stats)

    def json(self) -> dict[str, Any]:
        """For machines."""
        return {**vars(self), "nodes": {name: stats.json() for name, stats in self.nodes.items()}}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Totals:
        """What `json` wrote."""
        return cls(**{**data, "nodes": {name: NodeStats.read(stats) for name, stats in data["nodes"].items()}})


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
        drain: float = DRAIN,
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
        self.slots = Slots(self.clock, slot)
        self.flows: dict[str, Flow] = {}
        self.totals = Totals()
        self.draining = False
        self.public = public
        self.call_limit = call_limit or LocalCallLimit(max_calls)
        self.on_opened: list[Callable[[Flow], None]] = []
        self.on_closed: list[Callable[[Flow], None]] = []
        self._drain = drain
        self._calls = calls
        self._messages = messages
        self._sockets = sockets or {}
        self._recover = recover
        self._new_id = new_id or (lambda: secrets.token_hex(4))
        self._loop_pool = InlinePool()
        self._listener: Any = plan.listener.cls(plan.listener.config)
        self._sampler = Sampler()
        self._alarms = Alarms(self.clock.now)
        self._unswept: dict[Flow, None] = {}  # a set that keeps its order: a replay closes flows as the call did
        self._resources: dict[str, Any] = {}
        self._opened: list[Resource] = []
        self._finished = asyncio.Event()
        self._last_session_came = False
        self.report = _ProcessReport(self, plan.listener.name)
        self.slots.every(self._sampler.tick)
        self.slots.every(self._alarms.ring)
        self.slots.at_end(self._sweep)

    # The listener's view: see flowcore.node.Host.

    def now(self) -> float:
        return self.clock.now()

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now() + seconds)

    async def slot(self) -> None:
        await self.slots.next()

    def every_slot(self, poll: Callable[[], None]) -> Callable[[], None]:
        return self.slots.every(poll)

    def listen(self, address: str, port: int) -> socket.socket:
        shared = self._sockets.get((address, port))
        return listen(address, port) if shared is None else shared

    def room(self) -> int:
        return self.call_limit.room()

    @property
    def connections(self) -> ConnectionCounter:
        return self.call_limit.connections

    def resources(self) -> list[Resource]:
        return self._opened

    def announce(self, what: str, address: str) -> None:
        address = seen_through(self.public, address)
        self.bus.emit("listener_opened", node=self.plan.listener.name, address=address, what=what)

    def offer(self, what: str, address: str) -> None:
        address = seen_through(self.public, address)
        self.bus.emit("page_opened", node=self.plan.listener.name, address=address, what=what)

    def admit(self) -> None:
        if self.draining or self.call_limit.full:
            self._refuse(STOPPING if self.draining else BUSY)

    def _refuse(self, why: str) -> NoReturn:
        self.totals.refused += 1
        self.bus.emit("session_refused", reason=why)
        raise Refused(why, retry_after=5)

    def accept(self, attributes: Mapping[str, str]) -> Flow:
        if self.draining or not self.call_limit.take():
            self._refuse(STOPPING if self.draining else BUSY)
        started = self.clock.wall()
        session = Session(f"{started:%Y%m%dT%H%M%S}-{self._new_id()}", started, dict(attributes))
        flow = Flow(
            self.plan,
            session,
            clock=self.clock,
            pool=self.pool,
            loop_pool=self._loop_pool,
            bus=self.bus,
            sampler=self._sampler,
            alarms=self._alarms,
            resources=self._resources,
            drain=self._drain,
            needs_sweep=self._mark_for_sweep,
        )
        self.flows[flow.id] = flow
        self.totals.flows += 1
        for callback in self.on_opened:
            callback(flow)
        flow.start()
        return flow

    # Life.

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
            await self._open_resources()
            if watchdog is not None:
                watchdog.start()
            if self._recover:
                recovery = Recovery(self.plan, self.bus)
            self.call_limit.join()
            listener.resource = self._resources.get(self.plan.listener.name)
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
            await self._close_resources()
            if watchdog is not None:
                watchdog.stop()
            if recovery is not None:
                recovery.wait(RECOVERY)
            self.bus.deliver()
            self.pool.close()
        if self.bus.strict:
            self._check_declared()

    def _check_declared(self) -> None:
        wrong = [*self.bus.undeclared]
        for name, stats in self.totals.nodes.items():
            wrong += self.bus.declared.objections(name, (*stats.dropped, *stats.filled))
        if wrong:
            raise Undeclared("; ".join(wrong))

    def reload(self) -> None:
        """Let the listener read its files anew, for sessions from now on; what is wrong with them is told."""
        try:
            self._listener.reload()
        except CannotStart as error:
            error.node = error.node or self.plan.listener.name
            self.bus.emit("reload_failed", cause=error)
        else:
            self.bus.emit("files_reloaded")

    def stop(self) -> None:
        """Take no more sessions, end all flows, and let `run` return within ``STOP`` seconds."""
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
        until = self.now() + STOP
        for flow in tuple(self.flows.values()):
            flow.end(STOPPING)
        while self.flows and self.now() < until:
            await self.slot()
        await self.slot()  # in which chains that were given up close their nodes

    def _mark_for_sweep(self, flow: Flow) -> None:
        self._unswept[flow] = None

    def _sweep(self) -> None:
        """The end of a slot: let strands run, look after flows that want it, deliver events."""
        self._loop_pool.rebalance()
        self.pool.rebalance()
        if self._unswept:
            for flow in tuple(self._unswept):
                self._unswept.pop(flow, None)
                if flow.sweep():
                    self._unswept[flow] = None
                elif flow.state == "closed":
                    self._closed(flow)
        self.bus.deliver()

    def _closed(self, flow: Flow) -> None:
        if self.flows.pop(flow.id, None) is None:
            flow.release()  # a chain that was given up has ended after all
            return
        self.call_limit.give_back()
        totals = self.totals
        totals.reasons[flow.reason] = totals.reasons.get(flow.reason, 0) + 1
        totals.failed += bool(flow.failures)
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
        enough = self._calls is not None and sum(totals.reasons.values()) >= self._calls
        if enough or (self._last_session_came and not self.flows):
            self._finished.set()

    # Parts.

    async def _open_resources(self) -> None:
        """Open each distinct part once, in threads: loading a model may take seconds."""
        for node in self.plan.nodes.values():
            part = node.cls.make_resource(node.config)
            if part is None:
                continue
            same = next((opened for opened in self._opened if opened == part), None)
            if same is None:
                part.now = self.clock.now
                part.report = _ProcessReport(self, node.name)
                if self._messages is not None:
                    self._messages.join(node.name, part)
                try:
                    await asyncio.to_thread(part.open)
                except CannotStart as error:
                    error.node = error.node or node.name
                    raise
                except FlowcoreError:
                    raise
                except Exception as error:  # a mistake of its author's, told like any other trouble
                    message, trace = describe_error(type(part), error)
                    raise CannotStart(": ".join((message, *trace[-1:])), node=node.name) from error
                self._opened.append(part)
                same = part
            self._resources[node.name] = same

    async def _close_resources(self) -> None:
        """Close each in a thread that may be left behind: a model or a device that hangs must not keep the process."""
        names = {id(part): name for name, part in reversed(self._resources.items())}
        patience = CLOSE if isinstance(self.pool, ThreadPool) else None  # on a virtual clock none would be left
        for part in reversed(self._opened):
            closed = _in_thread(part.close)
            done, _ = await asyncio.wait([closed], timeout=patience)
            cause = closed.exception() if done else TimeoutError(f"it did not close within {CLOSE:g} s")
            if cause is not None:
                self.totals.failed += 1
                self.bus.emit("resource_failed", node=names[id(part)], cause=cause)


def _in_thread(call: Callable[[], None]) -> asyncio.Future[None]:
    """Call it in a daemon thread, which no end of the process waits for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            call()
        except Exception as raised:  # whatever a node's part raises is told, and ends nothing else
            error = raised
        try:
            loop.call_soon_threadsafe(settle, error)
        except RuntimeError:  # too late: the loop is closed
            return

    threading.Thread(target=run, name="flowcore-close", daemon=True).start()
    return future


class _ProcessReport:
    """A listener's or a part's report on what belongs to no flow."""

    def __init__(self, engine: Engine, node: str) -> None:
        self._engine = engine
        self._node = node

    def _stats(self) -> NodeStats:
        return self._engine.totals.nodes.setdefault(self._node, NodeStats())

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        self._stats().dropped.count(reason, chunks, seconds)

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        self._stats().filled.count(reason, chunks, seconds)

    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None:
        self._engine.bus.emit(name, node=self._node, level=level, **data)
