"""More than one core: a supervisor opens the ports, starts workers that share them, and replaces those that die.

Each worker is a process of its own with an engine of its own; a call lives in one of them from its first byte to its
last. They share the listening sockets (each takes connections from the same queue, once a slot) and `CallLimit`,
nothing else. A socket pair, the *channel*, joins each with the supervisor, in lines of JSON: the job goes down;
events, totals and answers come up; messages between resources go up from one worker and down to the others. When the
channel closes, the other side is dead.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from flowcore.control.handler import ControlHandler, EngineControl
from flowcore.engine.bus import Bus, Event
from flowcore.engine.engine import STOP, Engine, Totals
from flowcore.engine.recovery import recover
from flowcore.engine.sockets import Address, listen
from flowcore.errors import CannotStart, UsageError
from flowcore.graph.plan import Plan
from flowcore.workers.call_limit import CallLimit
from flowcore.workers.notify import stuck

LINE = 16 * 1024 * 1024
"""Bytes of a line on the channel at most: the answer of a worker with thousands of calls."""
TOGETHER = 20
"""Messages of parts in one line at most."""
PUBLISH = 1.0
"""Seconds between two totals of a worker; a killed one takes its last second of books with it."""
RESTART_FIRST = 0.5
"""Seconds before a dead worker is replaced; doubled each time, up to ``RESTART_LONGEST``."""
RESTART_LONGEST = 30.0
CALM = 60.0
"""Seconds after which a worker's death is no longer taken for the same trouble as the one before."""
SHARING: Final = "FLOWCORE_WORKERS"
"""Tells a worker how many there are, itself included: what it takes a core for each is to be shared by all."""
GRACE = 1.0
"""Seconds beyond ``STOP`` after which a worker is killed."""
WORKER_DIED: Final = "worker_died"
TOLD: Final = frozenset({"listening", "page", "file", "closed"})
"""Events of a worker that its supervisor is told."""


@dataclass(eq=False)
class Worker:
    """A worker, as its supervisor sees it. ``number`` counts from 1."""

    number: int
    process: asyncio.subprocess.Process
    writer: asyncio.StreamWriter
    totals: Totals = field(default_factory=Totals)
    asked: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    alive: float = 0.0
    """When it said so last, in seconds of the monotonic clock."""

    def send(self, message: Mapping[str, Any]) -> None:
        self.writer.write(json.dumps(message).encode() + b"\n")


class Supervisor:
    """Runs a plan in several processes. ``command`` starts a worker, given the descriptor of its channel.

    ``job`` is what the worker's program needs to know, as JSON. ``calls`` and ``max_calls`` count over all workers.
    ``bus`` hears of workers and repairs, and of what listens where; all else the workers log themselves. ``on_file``
    is told the path of each file that they finish.
    """

    def __init__(
        self,
        plan: Plan,
        workers: int,
        command: Sequence[str],
        job: Mapping[str, Any],
        *,
        bus: Bus,
        on_file: Callable[[str], None],
        calls: int | None = None,
        max_calls: int = 2000,
    ) -> None:
        self.totals = Totals()
        self.code = 0
        """Exit code of a first worker that could not start; it has said why."""
        self.draining = False
        self.handlers: dict[int, ControlHandler] = {}
        """The running workers, for a hub."""
        self._plan = plan
        self._count = workers
        self._command = command
        self._job = job
        self._bus = bus
        self._on_file = on_file
        self._calls = calls
        self._max_calls = max_calls
        self._closed = 0
        self._workers: dict[int, Worker] = {}
        self._sockets: dict[Address, socket.socket] = {}
        self._announced: set[str] = set()
        self._places: CallLimit
        self._stopping = asyncio.Event()
        self._ready = asyncio.Event()
        self._questions = itertools.count(1)

    async def run(self) -> None:
        """Until `stop`, or ``calls`` calls have ended. Before the first worker: raises `CannotStart`, `UsageError`."""
        listener = self._plan.listener
        addresses = listener.cls.listens(listener.config)  # type: ignore[attr-defined]  # the first node is a listener
        if not addresses:
            raise UsageError(f"{listener.name} ({listener.cls.name}) listens at no port to share: leave out --workers")
        try:
            for address in addresses:
                self._sockets[address] = listen(*address)
            with CallLimit.shared(self._max_calls, self._count) as self._places:
                recovery = asyncio.create_task(self._recover())
                await self._run_workers()
                await recovery
        except CannotStart as error:
            error.node = error.node or listener.name
            raise
        finally:
            for listening in self._sockets.values():
                listening.close()
            self._bus.deliver()

    def stop(self) -> None:
        """Let all workers end their calls in order, and `run` return within ``STOP`` seconds or little more."""
        if not self.draining:
            self.draining = True
            self._stopping.set()
            for worker in self._workers.values():
                _signal(worker, signal.SIGTERM)
            asyncio.get_running_loop().call_later(STOP + GRACE, self.kill)

    def reload(self) -> None:
        """Let all workers read their files anew."""
        for worker in self._workers.values():
            worker.send({"reload": True})  # no signal: it would kill one that is about to start

    def silence(self) -> float:
        """Seconds since the worker that has been silent longest said that it is alive."""
        now = time.monotonic()
        return now - min((self._workers[number].alive for number in self.handlers), default=now)

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._workers.values():
            _signal(worker, signal.SIGKILL)

    async def _run_workers(self) -> None:
        # The first one goes alone: what it cannot do no other can, and it is said once.
        first = asyncio.create_task(self._keep(1))
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({first, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        others = [] if first.done() else [self._keep(number) for number in range(2, self._count + 1)]
        await asyncio.gather(first, *others)

    async def _keep(self, number: int) -> None:
        """Have a worker ``number``, until the end."""
        delay = RESTART_FIRST
        while not self.draining:
            began = time.monotonic()
            worker, reader = await self._start(number)
            await self._hear(worker, reader)
            code = await worker.process.wait()
            lost = self._settle(worker)
            unasked = code != 0 and not self.draining
            if lost or (unasked and (code < 0 or self._ready.is_set())):  # else it has said itself why it cannot start
                self._tell(WORKER_DIED, worker=number, pid=worker.process.pid, how=_how(code), calls=lost)
            if not self._ready.is_set() and not self.draining:  # no worker could start
                self.code = max(code, 1)
                self.stop()
            if unasked and not self.draining:
                delay = RESTART_FIRST if time.monotonic() - began > CALM else delay
                recovery = asyncio.create_task(self._recover())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay)
                await recovery
                delay = min(delay * 2, RESTART_LONGEST)

    async def _start(self, number: int) -> tuple[Worker, asyncio.StreamReader]:
        ours, theirs = socket.socketpair()
        fds = [theirs.fileno(), self._places.fd, *(listening.fileno() for listening in self._sockets.values())]
        environment = {**os.environ, SHARING: str(self._count)}
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *self._command, str(theirs.fileno()), pass_fds=fds, stdin=asyncio.subprocess.DEVNULL, env=environment
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LINE)
        worker = self._workers[number] = Worker(number, process, writer)
        places = {"limit": self._max_calls, "rows": self._count, "row": number - 1, "fd": self._places.fd}
        sockets = [[*address, listening.fileno()] for address, listening in self._sockets.items()]
        worker.send({"number": number, "places": places, "sockets": sockets, "job": self._job})
        if self.draining:
            _signal(worker, signal.SIGTERM)
        return worker, reader

    async def _hear(self, worker: Worker, reader: asyncio.StreamReader) -> None:
        """All that a worker says, until it is dead."""
        with suppress(ConnectionResetError):
            while (line := await reader.readline()).endswith(b"\n"):  # else it was killed while it wrote
                message = json.loads(line)
                if "event" in message:
                    self._heard(worker, Event(**message["event"]))
                elif "totals" in message:
                    worker.totals = Totals.read(message["totals"])
                elif "told" in message:
                    self._pass_on(worker, message["told"])
                elif "alive" in message:
                    worker.alive = time.monotonic()
                elif (future := worker.asked.pop(message["id"], None)) and not future.done():
                    future.set_result(message)
        worker.writer.close()

    def _pass_on(self, worker: Worker, told: list[Any] | None) -> None:
        """Tell all others; a worker that is stuck misses what it has no room for."""
        for other in self._workers.values():
            if other is not worker and other.writer.transport.get_write_buffer_size() < LINE:
                other.send({"heard": worker.number, "told": told})

    def _heard(self, worker: Worker, event: Event) -> None:
        if event.name == "listening":
            self._ready.set()
            worker.alive = time.monotonic()
            self.handlers[worker.number] = lambda request: self._ask(worker, request)
            self._announce(event)
            self._tell("worker_started", worker=worker.number, pid=worker.process.pid)
        elif event.name == "page":
            self._announce(event)
        elif event.name == "file":
            self._on_file(event.data["path"])
        elif event.name == "closed":
            self._count_closed(1)

    def _announce(self, event: Event) -> None:
        """All workers are at the same addresses: say each once."""
        if event.data["address"] not in self._announced:
            self._announced.add(event.data["address"])
            self._tell(event.name, node=event.node, **event.data)

    def _count_closed(self, calls: int) -> None:
        self._closed += calls
        if self._calls is not None and self._closed >= self._calls:
            self.stop()

    def _settle(self, worker: Worker) -> int:
        """A worker is dead: its places are free, its books are summed up. Returns how many calls it took with it."""
        self.handlers.pop(worker.number, None)
        del self._workers[worker.number]
        for future in worker.asked.values():
            future.cancel()
        self._pass_on(worker, None)
        lost = self._places.clear(worker.number - 1)
        self.totals.add(worker.totals)
        if lost:
            self.totals.add(Totals(failed=lost, reasons={WORKER_DIED: lost}))
            self._count_closed(lost)
        return lost

    async def _ask(self, worker: Worker, request: Mapping[str, Any]) -> Any:
        number = next(self._questions)
        future = worker.asked[number] = asyncio.get_running_loop().create_future()
        try:
            worker.send({**request, "id": number})
            reply = await future
        finally:
            worker.asked.pop(number, None)
        if "answer" not in reply:
            raise LookupError(request["ask"])
        return reply["answer"]

    async def _recover(self) -> None:
        await asyncio.to_thread(recover, self._plan, self._bus)
        self._bus.deliver()

    def _tell(self, name: str, flow: str = "", node: str = "", **data: Any) -> None:
        self._bus.emit(name, flow, node, **data)
        self._bus.deliver()


def _signal(worker: Worker, number: signal.Signals) -> None:
    if worker.process.returncode is None:
        worker.process.send_signal(number)


def _how(code: int) -> str:
    """What an exit code says: a negative one is the number of the signal that killed it."""
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"


class WorkerLink:
    """A worker's side: what its supervisor gave it, and the way back. Blocks until the job is there."""

    def __init__(self, channel: int) -> None:
        self._channel = socket.socket(fileno=channel)
        hello = b""
        while not hello.endswith(b"\n"):
            data = self._channel.recv(65536, socket.MSG_PEEK)
            if not data:
                raise UsageError("a worker is started by `flowcore run --workers`, not by hand")
            hello += self._channel.recv(data.find(b"\n") + 1 or len(data))  # what follows is for `run`
        given = json.loads(hello)
        self.number: int = given["number"]
        self.job: dict[str, Any] = given["job"]
        self.places = CallLimit(**given["places"])
        self.sockets: dict[Address, socket.socket] = {
            (host, port): socket.socket(fileno=fd) for host, port, fd in given["sockets"]
        }
        for shared in (self._channel, *self.sockets.values()):
            shared.set_inheritable(False)  # to us they were passed on; they go no further
        self._writer: asyncio.StreamWriter

    async def run(self, engine: Engine) -> None:
        """Run the engine, tell what happens, and answer; ends in order when the supervisor is dead."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._channel, limit=LINE)
        threading.Thread(target=_die_soon_after, args=(os.dup(self._channel.fileno()),), daemon=True).start()
        engine.bus.subscribe(self._tell)
        engine.exchange.connected = True
        engine.slots.at_end(lambda: self._tell_others(engine))
        asides = [asyncio.create_task(self._answer(reader, engine)), asyncio.create_task(self._publish(engine))]
        try:
            await engine.run()
        finally:
            for aside in asides:
                aside.cancel()
            await asyncio.gather(*asides, return_exceptions=True)
            self._send({"totals": engine.totals.json()})
            self._writer.close()
            await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)

    def _tell(self, event: Event) -> None:
        if event.name in TOLD:
            self._send({"event": {**vars(event), "data": dict(event.data)}})

    def _tell_others(self, engine: Engine) -> None:
        told = engine.exchange.take()
        for at in range(0, len(told), TOGETHER):
            self._send({"told": told[at : at + TOGETHER]})

    def _send(self, message: Mapping[str, Any]) -> None:
        if not self._writer.is_closing():  # by a supervisor that died; then nobody wants to know
            self._writer.write(json.dumps(message, default=str).encode() + b"\n")

    async def _publish(self, engine: Engine) -> None:
        published = -1
        while True:
            await asyncio.sleep(PUBLISH)
            closed = sum(engine.totals.reasons.values())
            if closed != published:
                published = closed
                self._send({"totals": engine.totals.json()})
            if not stuck(engine):
                self._send({"alive": True})

    async def _answer(self, reader: asyncio.StreamReader, engine: Engine) -> None:
        control = EngineControl(engine)
        with suppress(ConnectionResetError):
            while line := await reader.readline():
                request = json.loads(line)
                if "heard" in request:
                    engine.exchange.hear(request["heard"], request["told"])
                    continue
                if "reload" in request:
                    engine.reload()
                    continue
                try:
                    self._send({"id": request["id"], "answer": await asyncio.to_thread(control, request)})
                except LookupError:
                    self._send({"id": request["id"]})
        engine.stop()


def _die_soon_after(channel: int) -> None:
    """In a thread: a worker outlives its supervisor for as long as its calls may take to end, whatever hangs in it."""
    hung_up = select.poll()
    hung_up.register(channel, 0)  # a hang-up is always told
    hung_up.poll()
    time.sleep(STOP + GRACE)
    os._exit(1)
