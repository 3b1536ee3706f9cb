"""Tells systemd how the process is: ready, alive, stopping (the datagrams of ``sd_notify(3)``).

Alive means that slots go on and that no thread has been in one strand for longer than ``STUCK``: a service whose unit
says ``WatchdogSec=`` is restarted when that is not said in time. Without ``NOTIFY_SOCKET`` nothing is sent. With
workers their supervisor speaks for all of them, as systemd listens to nobody else.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowcore.engine.bus import Bus, Event
from flowcore.engine.pool import ThreadPool

if TYPE_CHECKING:
    from flowcore.engine.engine import Engine
    from flowcore.workers.supervisor import Supervisor

STUCK: Final = 10.0
"""Seconds in one strand after which no more heartbeats are sent."""


def stuck(engine: Engine) -> bool:
    """Whether a thread has been in one strand for too long."""
    if not isinstance(engine.pool, ThreadPool):
        return False
    now = time.monotonic()
    return now - min(tuple(engine.pool.working_since.values()), default=now) > STUCK


class _Manager:
    """The service manager, who is told what happens on ``bus``. ``environ`` as systemd sets it."""

    def __init__(self, bus: Bus, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        # Half of the time that the manager waits, as sd_watchdog_enabled(3) advises.
        self._period = int(environ.get("WATCHDOG_USEC", "0")) / 2e6 if self._address else 0.0
        if self._address:
            bus.subscribe(self._heard)

    def _heard(self, event: Event) -> None:
        if event.name == "listening":
            self._send("READY=1")
        elif event.name == "stopping":
            self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(text.encode(), self._address)


class Notifier(_Manager):
    """Tells how ``engine`` is, in the slots."""

    def __init__(self, engine: Engine, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__(engine.bus, environ)
        self._engine = engine
        self._next = 0.0
        if self._period:
            engine.slots.at_end(self._beat)

    def _beat(self) -> None:
        now = time.monotonic()
        if now >= self._next and not stuck(self._engine):
            self._next = now + self._period
            self._send("WATCHDOG=1")


class SupervisorNotifier(_Manager):
    """Tells how ``supervisor`` and its workers are, in the running event loop."""

    def __init__(self, supervisor: Supervisor, bus: Bus, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__(bus, environ)
        self._supervisor = supervisor
        if self._period:
            self._beat()

    def _beat(self) -> None:
        if self._supervisor.silence() <= STUCK:
            self._send("WATCHDOG=1")
        asyncio.get_running_loop().call_later(self._period, self._beat)
