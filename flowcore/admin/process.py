"""The admin process, as the process of the run sees it: it is started, fed with events, and replaced when it dies.

It is a process of its own, so that no client of the API takes time, memory or file descriptors from the calls. A
channel (`flowcore.workers.channel`) joins the two. The run sends:

- first the job: ``{"settings": {...}, "control": path, "call_log": place, "graph": {...}}``
- ``{"event": {...}, "missed": 0}``: an event, and how many before it the channel did not take
- ``{"graph": {...}}``: a new graph

The admin process sends ``{"rejected": [reason, address, clients]}``, ``{"command": {...}}`` after each command of an
operator, and ``{"failed": text}``.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from flowcore.admin.access_advice import ADVICE
from flowcore.admin.settings import AdminSettings
from flowcore.engine.bus import Bus, Event
from flowcore.engine.event_fields import event_record
from flowcore.engine.sockets import listen
from flowcore.errors import CannotStart
from flowcore.workers.channel import Channel
from flowcore.workers.process import GROUP_SIGNALS, describe_exit

SEND_BUFFER: Final = 64 * 1024
"""Bytes that the kernel holds for a client that does not read."""
UNREAD_TIMEOUT: Final = 20
"""Seconds after which the kernel disconnects a client that reads nothing of what waits for it (TCP_USER_TIMEOUT)."""
RESTART_DELAY: Final = 1.0
"""Seconds before a dead admin process is replaced."""
END_TIMEOUT: Final = 3.0
"""Seconds that the admin process may take to end."""


class AdminProcess:
    """The admin API of a run, at the address of ``settings``. ``graph`` is what `flowcore.admin.description` made.

    ``call_log`` is the place of the call log; empty for none.
    """

    def __init__(self, settings: AdminSettings, graph: Mapping[str, Any], call_log: str, bus: Bus) -> None:
        self._settings = settings
        self._call_log = call_log
        self._graph = graph
        self._bus = bus
        self.listening: socket.socket | None = None
        """The port's socket; `serving` opens it unless another process did."""
        self._serving: asyncio.Task[None] | None = None
        self._channel: Channel | None = None
        self._missed = 0
        self._announced = False
        bus.subscribe(self._on_event)

    @property
    def address(self) -> str:
        """The URL of the API."""
        assert self.listening is not None  # noqa: S101  # for mypy
        host, port = self._settings.host, self.listening.getsockname()[1]
        return f"{self._settings.scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def place(self) -> tuple[str, int]:
        """The host and the port of the settings."""
        return self._settings.host, self._settings.port

    @asynccontextmanager
    async def serving(self, control: Path, start: asyncio.Event | None = None) -> AsyncIterator[None]:
        """Bind the port, and serve while the block runs, or from ``start`` on. ``control`` is the path of the hub.

        Raises `CannotStart`.
        """
        self.listening = self.listening or _listen(self._settings)
        self._serving = asyncio.create_task(self._serve(control, start), name="admin")
        try:
            yield
        finally:
            self.leave()
            await asyncio.gather(self._serving, return_exceptions=True)

    def leave(self) -> None:
        """End the admin process and close the port, at which that of another run may serve."""
        if self._serving is not None:
            self._serving.cancel()
        if self.listening is not None:
            self.listening.close()

    def publish(self, record: Mapping[str, Any]) -> None:
        """Pass on an event, as `flowcore.engine.event_fields.event_record` makes one, to all readers of events."""
        if self._channel is None or self._channel.congested:
            self._missed += 1
            return
        self._channel.send({"event": record, "missed": self._missed})
        self._missed = 0

    def show_graph(self, graph: Mapping[str, Any]) -> None:
        """Show another graph from now on, described by `flowcore.admin.description.describe`."""
        self._graph = graph
        if self._channel is not None:
            self._channel.send({"graph": graph})

    def _on_event(self, event: Event) -> None:
        self.publish(event_record(event))
        if event.name == "listener_opened" and not self._announced:  # the log of a failed start begins with why
            self._announced = True
            self._bus.emit("admin_opened", address=self.address)

    async def _serve(self, control: Path, start: asyncio.Event | None) -> None:
        if start is not None:
            await start.wait()
        job = {"settings": vars(self._settings), "control": str(control), "call_log": self._call_log}
        while True:
            process, channel = await self._start()
            channel.send({**job, "graph": self._graph})
            self._channel = channel
            try:
                async for message in channel.messages():
                    self._on_message(message)
                code = await process.wait()
            finally:
                self._channel = None
                channel.close()
                await _end(process)
            self._emit("admin_died", how=describe_exit(code))
            await asyncio.sleep(RESTART_DELAY)

    async def _start(self) -> tuple[asyncio.subprocess.Process, Channel]:
        ours, theirs = socket.socketpair()
        assert self.listening is not None  # noqa: S101  # for mypy
        fds = theirs.fileno(), self.listening.fileno()
        with theirs:
            signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)  # the new process inherits this
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "flowcore.admin.server", *map(str, fds)),
                    pass_fds=fds,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,  # it reports errors through the channel
                )
            except BaseException:
                ours.close()
                raise
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
        return process, await Channel.open(ours)

    def _on_message(self, message: Mapping[str, Any]) -> None:
        if "rejected" in message:
            reason, address, clients = message["rejected"]
            self._emit("admin_rejected", reason=reason, address=address, advice=ADVICE[reason], times=clients)
        elif "command" in message:
            self._emit("admin_command", **message["command"])
        else:
            self._emit("admin_failed", detail=message["failed"])

    def _emit(self, name: str, **data: Any) -> None:
        self._bus.emit(name, **data)
        self._bus.deliver()


def _listen(settings: AdminSettings) -> socket.socket:
    try:
        listening = listen(settings.host, settings.port)
    except CannotStart as error:
        error.node, error.field = "--admin", ""
        raise
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # connections inherit both
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT * 1000)
    return listening


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait until the process, whose channel is closed, has ended; kill it when that takes too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(END_TIMEOUT):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
