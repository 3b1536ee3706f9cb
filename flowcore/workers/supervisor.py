"""The supervisor: opens the ports, starts the workers that share them, and replaces workers that die.

Each worker is a process with an engine of its own. A call lives in one worker from its first byte to its last. The
workers share the listening sockets (each takes connections from the same queue, once a slot) and the call limit,
nothing else. A channel (`flowcore.workers.channel`) joins each worker with the supervisor.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from flowcore.control.handler import ControlHandler
from flowcore.engine.bus import Bus, Event
from flowcore.engine.engine import STOP_TIMEOUT
from flowcore.engine.recovery import recover
from flowcore.engine.silencing import RESOURCE, SilencedCall, SilencedCalls
from flowcore.engine.sockets import Address, listen
from flowcore.engine.totals import Totals
from flowcore.errors import CannotStart, UsageError
from flowcore.graph.plan import Plan
from flowcore.workers.call_limit import SharedCallLimit
from flowcore.workers.graph_job import graph_job
from flowcore.workers.link import KILL_DELAY
from flowcore.workers.process import WorkerProcess, describe_exit

MIN_RESTART_DELAY = 0.5
"""Seconds before a dead worker is replaced; doubled each time, up to ``MAX_RESTART_DELAY``."""
MAX_RESTART_DELAY = 30.0
STABLE_AFTER = 60.0
"""Seconds of life after which the death of a worker counts as a new problem, with the first delay again."""
WORKER_DIED: Final = "worker_died"


@dataclass(eq=False)
class Supervisor:
    """Runs a plan in ``count`` processes. ``command`` starts a worker, given the descriptor of its channel.

    ``job`` is what the worker's program needs to know beside the graph, as JSON. ``calls`` and ``max_calls`` count over
    all workers. ``bus`` gets events of workers and repairs, and the addresses; the workers log all other events
    themselves. ``on_file`` is called with the path of each file that they finish; ``on_observed``, where the run is
    observed, with each event of a worker, as its log shows it.
    """

    plan: Plan
    count: int
    command: Sequence[str]
    job: Mapping[str, Any]
    bus: Bus
    on_file: Callable[[str], None]
    calls: int | None = None
    max_calls: int = 2000
    first: int = 1
    """Number of the first worker; above those of a run before this one, whose calls go on."""
    sockets: dict[Address, socket.socket] = field(default_factory=dict)
    """Listening sockets that another process opened; `run` opens the others."""
    on_observed: Callable[[Mapping[str, Any]], None] = lambda record: None
    silenced: SilencedCalls = field(default_factory=SilencedCalls, init=False)
    """What the workers know, for those that start later."""
    totals: Totals = field(default_factory=Totals, init=False)
    code: int = field(default=0, init=False)
    """Exit code of a first worker that could not start, and has logged why."""
    draining: bool = field(default=False, init=False)
    handlers: dict[int, ControlHandler] = field(default_factory=dict, init=False)
    """Control handlers of the running workers, for a hub."""
    on_worker_end: Callable[[int, Totals], None] = field(default=lambda number, totals: None, init=False)
    """Called with the number of a worker that has ended, and with its totals."""
    _version: int = field(default=1, init=False)
    _next: tuple[Plan, int] = field(init=False)
    _plans: list[Plan] = field(default_factory=list, init=False)  # whose files a dead worker may have left
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)  # no worker starts during a reload
    _closed: int = field(default=0, init=False)
    _workers: dict[int, WorkerProcess] = field(default_factory=dict, init=False)
    _announced: set[str] = field(default_factory=set, init=False)
    _call_limit: SharedCallLimit = field(init=False)
    _repairs: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _ready: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @property
    def numbers(self) -> range:
        """The numbers of the workers."""
        return range(self.first, self.first + self.count)

    async def run(self) -> None:
        """Run until `stop` was called or ``calls`` calls have ended.

        Raises `CannotStart` or `UsageError` before the first worker starts.
        """
        self._plans.append(self.plan)
        listener = self.plan.listener
        addresses = listener.cls.listens(listener.config)
        if not addresses:
            raise UsageError(f"{listener.name} ({listener.cls.name}) listens on no port to share: leave out --workers")
        try:
            for address in addresses:
                if address not in self.sockets:
                    self.sockets[address] = listen(*address)
            with SharedCallLimit.shared(self.max_calls, self.count) as self._call_limit:
                recovery = asyncio.create_task(self._recover())
                await self._run_workers()
                await recovery
        except CannotStart as error:
            error.node = error.node or listener.name
            raise
        finally:
            self._close_sockets()
            self.bus.deliver()

    def _close_sockets(self) -> None:
        while self.sockets:
            self.sockets.popitem()[1].close()

    def finish(self, seconds: float) -> None:
        """Let all workers take no more calls, and end with their last one or after ``seconds``."""
        self.draining = True
        for worker in self._workers.values():
            worker.channel.send({"finish": seconds})

    def hand_over(self, seconds: float) -> None:
        """Let the workers of another process accept from ``sockets``: see `flowcore.engine.engine.Engine.hand_over`."""
        self.draining = True
        for worker in self._workers.values():
            worker.channel.send({"hand_over": seconds})
        self._close_sockets()

    def silence(self, entry: SilencedCall) -> None:
        """Silence a call in all workers, as another process does."""
        self.silenced.on_worker_message(0, entry)
        for worker in self._workers.values():
            worker.channel.send({"from": 0, "messages": [[RESOURCE, entry]]})

    def repair(self) -> None:
        """Repair files of a process that has ended."""
        self._repairs.add(task := asyncio.create_task(self._recover()))
        task.add_done_callback(self._repairs.discard)

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Let all workers end their calls in order; `run` returns within ``STOP_TIMEOUT`` + ``KILL_DELAY`` seconds."""
        if not self.stopping:
            self.draining = True
            self._stopping.set()
            for worker in self._workers.values():
                worker.channel.send({"stop": True})
            asyncio.get_running_loop().call_later(STOP_TIMEOUT + KILL_DELAY, self.kill)

    async def prepare(self, plan: Plan, number: int) -> None:
        """Let all workers prepare a plan: see `flowcore.engine.engine.Engine.prepare`. Raises `CannotStart`."""
        await self._changing.acquire()
        self._next = plan, number
        request = {"ask": "prepare", "graph": graph_job(plan, number)}
        try:
            asked = dict(self._workers)
            answers = await asyncio.gather(*(one.ask(request) for one in asked.values()), return_exceptions=True)
            for worker, answer in zip(asked, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise CannotStart(f"worker {worker} died meanwhile: try again")
                if answer:
                    raise CannotStart(answer)
        except BaseException:
            self.discard()
            raise

    def activate(self) -> None:
        """Let all workers give new sessions the plan of `prepare`."""
        self.plan, self._version = self._next
        self._plans.append(self.plan)
        self._end_change("activate")

    def discard(self) -> None:
        """Let all workers forget the plan of `prepare`."""
        self._end_change("discard")

    def change_plan(self, plan: Plan) -> None:
        """Start workers with a plan that differs in live fields only; running ones change theirs themselves."""
        self.plan = plan

    def _end_change(self, end: str) -> None:
        for worker in self._workers.values():
            worker.channel.send({end: True})
        if self._changing.locked():
            self._changing.release()

    def quiet_for(self) -> float:
        """Return how many seconds ago the most silent worker sent its last heartbeat."""
        now = time.monotonic()
        return now - min((self._workers[number].alive_at for number in self.handlers), default=now)

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._workers.values():
            worker.signal(signal.SIGKILL)

    async def _run_workers(self) -> None:
        # The first worker starts alone: an error that all would meet is then logged once.
        first = asyncio.create_task(self._keep_running(self.first))
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({first, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        others = [] if first.done() else [self._keep_running(number) for number in self.numbers[1:]]
        await asyncio.gather(first, *others)

    async def _keep_running(self, number: int) -> None:
        """Start worker ``number``, and replace it when it dies, until the run ends."""
        delay = MIN_RESTART_DELAY
        while not self.draining:
            began = time.monotonic()
            async with self._changing:
                job = {**self.job, "graph": graph_job(self.plan, self._version)}
                row = number - self.first
                worker = await WorkerProcess.start(number, row, self.command, job, self._call_limit, self.sockets)
                self._workers[number] = worker
                if known := self.silenced.entries():  # a worker that took their calls may have died
                    worker.channel.send({"from": 0, "messages": [[RESOURCE, entry] for entry in known]})
            if self.draining:
                worker.signal(signal.SIGTERM)
            async for message in worker.channel.messages():
                self._on_message(worker, message)
            code = await worker.wait()
            lost = self._settle(worker)
            unexpected = code != 0 and not self.draining
            if lost or (unexpected and (code < 0 or self._ready.is_set())):  # else the worker has logged its error
                self._emit(WORKER_DIED, worker=number, pid=worker.pid, how=describe_exit(code), calls=lost)
            if not self._ready.is_set() and not self.draining:  # no worker could start
                self.code = max(code, 1)
                self.stop()
            if lost and self.draining:  # its calls may be the only ones that would have gone on for hours
                await self._recover()
            if unexpected and not self.draining:
                delay = MIN_RESTART_DELAY if time.monotonic() - began > STABLE_AFTER else delay
                recovery = asyncio.create_task(self._recover())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay)
                await recovery
                delay = min(delay * 2, MAX_RESTART_DELAY)

    def _on_message(self, worker: WorkerProcess, message: Mapping[str, Any]) -> None:
        if "event" in message:
            self._on_event(worker, Event(**message["event"]))
        elif "observed" in message:
            self.on_observed({**message["observed"], "worker": worker.number})
        elif "totals" in message:
            worker.totals = Totals.from_message(message["totals"])
        elif "messages" in message:
            self._relay(worker, message["messages"])
        elif "alive" in message:
            worker.beat()
        else:
            worker.answered(message)

    def _relay(self, worker: WorkerProcess, messages: list[Any] | None) -> None:
        """Send messages of ``worker`` to all others; a worker that is stuck misses messages beyond its buffer."""
        for name, message in messages or ():
            if name == RESOURCE:
                self.silenced.on_worker_message(worker.number, message)
        for other in self._workers.values():
            if other is not worker and not other.channel.congested:
                other.channel.send({"from": worker.number, "messages": messages})

    def _on_event(self, worker: WorkerProcess, event: Event) -> None:
        if event.name == "listener_opened":
            self._ready.set()
            worker.beat()
            self.handlers[worker.number] = worker.ask
            self._announce(event)
            self._emit("worker_started", worker=worker.number, pid=worker.pid)
        elif event.name == "page_opened":
            self._announce(event)
        elif event.name == "file_finished":
            self.on_file(event.data["path"])
        elif event.name == "flow_opened":
            worker.calls[event.flow] = event.data["call_id"]
        elif event.name == "flow_closed":
            worker.calls.pop(event.flow, None)
            self._count_closed(1)

    def _announce(self, event: Event) -> None:
        """Announce an address once: all workers are at the same addresses."""
        if event.data["address"] not in self._announced:
            self._announced.add(event.data["address"])
            self._emit(event.name, node=event.node, **event.data)

    def _count_closed(self, calls: int) -> None:
        self._closed += calls
        if self.calls is not None and self._closed >= self.calls:
            self.stop()

    def _settle(self, worker: WorkerProcess) -> int:
        """Free the places of a dead worker and add up its counters; return how many calls were lost with it."""
        self.handlers.pop(worker.number, None)
        del self._workers[worker.number]
        self._relay(worker, None)
        lost = self._call_limit.clear(worker.number - self.first)
        worker.totals.flows = worker.totals.ended  # the others are the lost ones, of which some may be newer
        if lost:
            worker.totals.add(Totals(flows=lost, failed=lost, reasons={WORKER_DIED: lost}))
            self._count_closed(lost)
        self.totals.add(worker.totals)
        self.on_worker_end(worker.number, worker.totals)
        for flow, call_id in worker.calls.items():
            self.bus.emit("flow_closed", flow, level="warning", call_id=call_id, reason=WORKER_DIED)
        return lost

    async def _recover(self) -> None:
        for plan in tuple(self._plans):
            await asyncio.to_thread(recover, plan, self.bus)
        self.bus.deliver()

    def _emit(self, name: str, node: str = "", **data: Any) -> None:
        self.bus.emit(name, node=node, **data)
        self.bus.deliver()
