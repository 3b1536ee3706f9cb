"""What a run takes over from a running process, and leaves to the one that follows it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import ChainMap
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from flowcore.admin.process import AdminProcess
from flowcore.control.handler import ControlHandler
from flowcore.control.handover import Handover, socket_name
from flowcore.control.hub import Command, Hub
from flowcore.control.takeover import Takeover
from flowcore.engine.bus import Event
from flowcore.engine.engine import Engine
from flowcore.engine.sockets import Address
from flowcore.environment import RUN
from flowcore.errors import UsageError
from flowcore.graph.plan import Plan
from flowcore.workers.supervisor import Supervisor

READY_TIMEOUT: Final = 30.0
"""Seconds after the first worker in which the others should take calls too: then their port is taken over anyway."""
SERVICE_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC")
"""What systemd tells the main process alone, and the next main process has to know (sd_notify(3))."""


class Succession:
    """The processes before this one, and the way to the one after it. ``api`` is the admin API of this run."""

    def __init__(self, takeover: Takeover | None = None, api: AdminProcess | None = None) -> None:
        self.before = takeover or Takeover([], None)
        self._api = api
        if self.before.run:
            os.environ[RUN] = self.before.run
        if api is not None:
            api.listening = self.before.sockets.get(socket_name("admin", *api.place))

    @classmethod
    def wanted(cls, plan: Plan, control: Path | None, api: AdminProcess | None) -> Succession:
        """Ask a running process for what this run needs. Raises `CannotStart` and `UsageError`."""
        listener = plan.listener
        if not listener.cls.hands_over or not listener.cls.listens(listener.config):
            raise UsageError(f"{listener.name} ({listener.cls.name}) has no port to take over: leave out --takeover")
        names = [socket_name("calls", *address) for address in listener.cls.listens(listener.config)]
        if api is not None:
            names.append(socket_name("admin", *api.place))
        return cls(Takeover.of_running(control, names), api)

    def sockets(self, plan: Plan) -> dict[Address, Any]:
        """Return the sockets of the plan's listener that were taken over."""
        addresses = plan.listener.cls.listens(plan.listener.config)
        named = {address: self.before.sockets.get(socket_name("calls", *address)) for address in addresses}
        return {address: found for address, found in named.items() if found is not None}

    def hub_path(self, control: Path) -> Path:
        """Return the path for this run's hub, at first: ``control``, unless a process to take over from has it."""
        taken = any(old.path == control for old in self.before.live)
        return control.with_name(f"{control.name}.{os.getpid()}") if taken else control

    def everyone(self, handlers: dict[int, ControlHandler]) -> Mapping[int, ControlHandler]:
        """Return the handlers of this run, and then of those before it, whose calls go on."""
        return ChainMap(self.before.handlers, handlers)  # it lists the last one first

    @asynccontextmanager
    async def running(
        self,
        runner: Engine | Supervisor,
        hub: Hub | None,
        handlers: Mapping[int, ControlHandler],
        seconds: float,
        stop: Callable[[], None],
        on_end: Callable[[int], None],
        beat: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[None]:
        """Follow the processes before this one, and serve one that takes over from it.

        The end of the block waits for the former: a service manager takes the end of this process for that of all.
        ``handlers`` are those of this run; running calls have ``seconds`` once it has handed over. ``beat`` is called
        each second of that wait.
        """
        async with AsyncExitStack() as stack:
            if hub is not None:
                await self._offer(runner, hub, handlers, seconds, stop)
            await stack.enter_async_context(self.before.following(runner, hub, on_end, beat))
            if self.before.live:
                runner.bus.subscribe(lambda event: self._on_event(runner, event))
            yield

    def _on_event(self, runner: Engine | Supervisor, event: Event) -> None:
        if event.name == "listener_opened":
            asyncio.get_running_loop().call_later(READY_TIMEOUT, self.before.ready)
        elif event.name != "worker_started":
            return
        if isinstance(runner, Engine) or len(runner.handlers) == runner.count:
            self.before.ready()

    async def _offer(
        self,
        runner: Engine | Supervisor,
        hub: Hub,
        handlers: Mapping[int, ControlHandler],
        seconds: float,
        stop: Callable[[], None],
    ) -> None:
        api = self._api

        def sockets() -> dict[str, Any]:
            hands_over = runner.plan.listener.cls.hands_over
            named = {socket_name("calls", *place): one for place, one in runner.sockets.items() if hands_over}
            return named | ({socket_name("admin", *api.place): api.listening} if api and api.listening else {})

        def moved(names: list[str]) -> None:
            if api is not None and socket_name("admin", *api.place) in names:
                api.leave()

        handover = Handover(runner, hub, handlers, seconds, sockets, moved, stop)

        async def successor(request: Mapping[str, Any]) -> int:
            """Return the process that has taken over, once one has."""
            return await asyncio.shield(handover.successor)

        def command(request: Mapping[str, Any]) -> dict[str, Any]:
            """Return the command line of this process without the program, its folder, and its service manager."""
            environment = {name: os.environ[name] for name in SERVICE_VARIABLES if name in os.environ}
            place = {"folder": str(Path.cwd()), "environment": environment}
            return {"pid": os.getpid(), "arguments": sys.argv[1:], **place}

        hub.conversations = {"takeover": handover.serve}
        own: dict[str, Command] = {"successor": successor, "command": command}
        hub.commands = {**hub.commands, **own}
