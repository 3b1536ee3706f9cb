"""The new process's side of a takeover: gets the listening sockets of a running process, and follows it.

See `flowcore.control.handover` for the messages between the two.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from flowcore.control.address import directory, finishing, is_stale, running_in
from flowcore.control.client import ask
from flowcore.control.handler import ANSWER_TIMEOUT, ControlHandler
from flowcore.control.handover import PROTOCOL, other_end
from flowcore.control.hub import Hub
from flowcore.engine.bus import Bus
from flowcore.engine.silencing import SilencedCall
from flowcore.errors import CannotStart, UsageError

MAX_SOCKETS: Final = 16
MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes of a message: 10,000 silenced calls need less than one of them."""
ASK_TIMEOUT: Final = 10.0
"""Seconds that a running process has to answer at first."""
BEAT_INTERVAL: Final = 1.0
END_TIMEOUT: Final = 30.0
"""Seconds that a process may take to end after it has closed its control socket."""


class Runner(Protocol):
    """An engine, or the supervisor of several."""

    bus: Bus

    def silence(self, entry: SilencedCall) -> None:
        """See `flowcore.engine.engine.Engine.silence`."""

    def repair(self) -> None:
        """See `flowcore.engine.engine.Engine.repair`."""


class Predecessor:
    """A running process whose port this one takes over, or that has handed it over before and has calls left.

    ``sockets`` are its listening sockets by `flowcore.control.handover.socket_name`: none if it has handed over.
    ``workers`` are the numbers of its control handlers, ``silenced`` its silenced calls, ``run`` the name of its run.
    """

    def __init__(self, path: Path, wanted: Iterable[str], control: Path) -> None:
        """Ask the process at ``path``; ``control`` is where this process is to be found. Raises `CannotStart`.

        Raises `LookupError` when it listens elsewhere: it has nothing to do with this process.
        """
        self.path = path
        self._connection = socket.socket(socket.AF_UNIX)
        try:
            found = self._ask_for([*wanted], control)
        except BaseException:
            self._connection.close()
            raise
        self.workers: list[int] = found["workers"]
        self.silenced: list[SilencedCall] = found["silenced"]
        self.run: str = found["run"]
        self.moved = not self.sockets
        """Whether it accepts no more connections."""
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    def _ask_for(self, wanted: list[str], control: Path) -> dict[str, Any]:
        connection = self._connection
        try:
            connection.settimeout(ASK_TIMEOUT)
            connection.connect(str(self.path))
            self.pid, uid = other_end(connection)
            if uid != os.getuid():
                raise CannotStart(f"cannot take over from process {self.pid}: it belongs to another user")
            request = {"ask": "takeover", "protocol": PROTOCOL, "sockets": wanted, "control": str(control)}
            connection.sendall(json.dumps(request).encode() + b"\n")
            found, descriptors = _receive(connection)
        except (OSError, ValueError) as error:
            raise LookupError(f"no answer: {error}") from error
        if found.get("elsewhere"):
            raise LookupError(found["error"])
        if "error" in found:
            raise CannotStart(f"cannot take over from process {self.pid}: {found['error']}")
        opened = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        self.sockets: dict[str, socket.socket] = dict(zip(found["sockets"], opened, strict=True))
        return found

    @property
    def handlers(self) -> dict[int, ControlHandler]:
        """Control handlers that ask its workers, by number."""
        return {number: partial(self._ask, number) for number in self.workers}

    async def _ask(self, number: int, request: Mapping[str, Any]) -> Any:
        answers, _ = await asyncio.to_thread(ask, self.path, {**request, "only": number}, ANSWER_TIMEOUT)
        if number not in answers:
            raise UsageError(f"no answer from worker {number}")
        return answers[number]

    def ready(self) -> None:
        """Tell it that this process accepts connections."""
        self._send({"ready": True})

    def stop(self) -> None:
        """Let it end its calls in order."""
        self._send({"stop": True})

    def _send(self, message: Mapping[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def open(self) -> None:
        """Open the connection in the event loop, for the methods below."""
        self._connection.setblocking(False)
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._connection, limit=MAX_LINE)

    async def follow(self, silence: Callable[[SilencedCall], None], on_moved: Callable[[], None]) -> None:
        """Pass on what it says, until it has ended."""
        try:
            with suppress(OSError, ValueError):  # it was killed while it wrote
                while line := await self._reader.readline():
                    message = json.loads(line)
                    if "silenced" in message:
                        silence(message["silenced"])
                    else:
                        self.path, self.moved = Path(message["control"]), True
                        on_moved()
            await _end_of(self.pid)
        finally:
            self._writer.close()


class Takeover:
    """Takes over from ``predecessors``: see `following`. ``control`` is where this process is to be found, if given."""

    def __init__(self, predecessors: list[Predecessor], control: Path | None) -> None:
        self.live = list(predecessors)
        """Those that have not ended."""
        self.handlers = {number: one for old in predecessors for number, one in old.handlers.items()}
        """Control handlers of all of them, until they end."""
        self.sockets = {name: one for old in predecessors for name, one in old.sockets.items()}
        self.silenced = [entry for old in predecessors for entry in old.silenced]
        self.run = next((old.run for old in predecessors), "")
        self.stopping = False
        self.in_charge = asyncio.Event()
        """Set when no predecessor accepts connections any more."""
        self.control = control
        self._ready = False
        self._all_ended = asyncio.Event()

    @classmethod
    def of_running(cls, control: Path | None, wanted: list[str]) -> Takeover:
        """Ask the running processes of this user that listen where this one wants to; there may be none.

        With ``control``, ask only the process that has it. Raises `CannotStart`.
        """
        place = control or directory()
        active = running_in(place) if control is None else [control] * (control.exists() and not is_stale(control))
        found = []
        for path in [*active, *finishing(place)]:
            try:
                found.append(Predecessor(path, wanted, control or place / f"{os.getpid()}.sock"))
            except LookupError as error:
                if path == control:
                    raise CannotStart(f"cannot take over from the process at {path}: {error}") from None
        return cls(found, control)

    def first_number(self, count: int) -> int:
        """Return the first of ``count`` numbers in a row that no worker of a predecessor has."""
        first = 1
        while any(first <= number < first + count for number in self.handlers):
            first += count
        return first

    @asynccontextmanager
    async def following(
        self, runner: Runner, hub: Hub | None, on_end: Callable[[int], None], beat: Callable[[], None]
    ) -> AsyncIterator[None]:
        """Follow all predecessors; the end of the block waits until they have ended.

        ``on_end`` is called with the number of each of their control handlers when it is gone, ``beat`` each second of
        that wait.
        """
        for entry in self.silenced:
            runner.silence(entry)
        for old in self.live:
            await old.open()
        self._check(hub)
        tasks = [asyncio.create_task(self._follow(old, runner, hub, on_end)) for old in self.live]
        try:
            yield
            while self.live:
                beat()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._all_ended.wait(), BEAT_INTERVAL)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def ready(self) -> None:
        """Tell the predecessors that this process accepts connections. A second call does nothing."""
        if not self._ready:
            self._ready = True
            for old in self.live:
                old.ready()

    def stop(self) -> None:
        """Let all predecessors end their calls in order."""
        self.stopping = True
        for old in self.live:
            old.stop()

    async def _follow(self, old: Predecessor, runner: Runner, hub: Hub | None, on_end: Callable[[int], None]) -> None:
        def moved() -> None:
            _emit(runner, "taken_over", pid=old.pid)
            self._check(hub)

        await old.follow(runner.silence, moved)
        self.live.remove(old)
        if is_stale(old.path):
            old.path.unlink(missing_ok=True)
        for number in old.workers:
            self.handlers.pop(number, None)
            on_end(number)
        runner.repair()  # it may have been killed
        _emit(runner, "predecessor_ended", pid=old.pid)
        self._check(hub)

    def _check(self, hub: Hub | None) -> None:
        if not self.in_charge.is_set() and all(old.moved for old in self.live):
            self.in_charge.set()
            if hub is not None and self.control is not None and hub.path != self.control:
                with suppress(OSError):  # somebody removed it
                    hub.move(self.control)
        if not self.live:
            self._all_ended.set()


def _emit(runner: Runner, name: str, **data: Any) -> None:
    runner.bus.emit(name, **data)
    runner.bus.deliver()


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Receive one line, not a byte more, and the descriptors that come with its first one."""
    line, descriptors, _, _ = socket.recv_fds(connection, 1, MAX_SOCKETS)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    while not line.endswith(b"\n"):
        waiting = connection.recv(65536, socket.MSG_PEEK)
        if not waiting:
            raise OSError("it hung up")
        line += connection.recv(waiting.find(b"\n") + 1 or len(waiting))
    return json.loads(line), descriptors


async def _end_of(pid: int) -> None:
    """Wait until a process has ended that has closed its control socket."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:  # it has ended already
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, ended.set)
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), END_TIMEOUT)
    finally:
        loop.remove_reader(handle)
        os.close(handle)
