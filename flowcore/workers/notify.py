"""Notifies systemd that the process is ready, alive or stopping, with the datagrams of ``sd_notify(3)``.

*Alive* means that slots go on and that no thread has been busy with one chunk for longer than ``STUCK_TIMEOUT``. A
service whose unit has ``WatchdogSec=`` is restarted when no heartbeat comes in time. Without ``NOTIFY_SOCKET`` nothing
is sent. With workers, the supervisor speaks for all of them, because systemd listens only to the main process.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from flowcore.engine.bus import Bus, Event
from flowcore.engine.engine import STOP_TIMEOUT, Engine
from flowcore.engine.pool import ThreadPool

STUCK_TIMEOUT: Final = 10.0
"""Seconds with one chunk, or without news of a worker, after which heartbeats stop."""


def is_stuck(engine: Engine) -> bool:
    """Whether a thread has been busy with one chunk for too long."""
    if not isinstance(engine.pool, ThreadPool):
        return False
    now = time.monotonic()
    return now - min((strand.since for strand in tuple(engine.pool.running.values())), default=now) > STUCK_TIMEOUT


class _ServiceManager:
    """Passes the events of ``bus`` for start, takeover and end on to systemd, which set ``environ``."""

    def __init__(self, bus: Bus, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        # Half of the time that the manager waits, as sd_watchdog_enabled(3) advises.
        self._period = int(environ.get("WATCHDOG_USEC", "0")) / 2e6 if self._address else 0.0
        if self._address:
            bus.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.name == "listener_opened":
            self._send("READY=1")
        elif event.name == "finish_requested":  # the manager would kill it after a minute and a half
            extended = round((event.data["seconds"] + STOP_TIMEOUT) * 1e6)
            self._send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={extended}")
        elif event.name == "stop_requested":
            self._send("STOPPING=1")
        elif event.name == "handed_over":  # only the main process may name another one
            self._send(f"MAINPID={event.data['pid']}")
        elif event.name == "taken_over":  # now that this is the main process; before it nobody listened
            self._send("READY=1\nWATCHDOG=1")

    def _send(self, text: str) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(text.encode(), self._address)


class Notifier(_ServiceManager):
    """Sends a heartbeat from the slots of ``engine``, unless a thread is stuck."""

    def __init__(self, engine: Engine, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__(engine.bus, environ)
        self._engine = engine
        self._next = 0.0
        if self._period:
            engine.slots.at_end(self.beat)

    def beat(self) -> None:
        """Send a heartbeat if it is time for one."""
        now = time.monotonic()
        if self._period and now >= self._next and not is_stuck(self._engine):
            self._next = now + self._period
            self._send("WATCHDOG=1")


class SupervisorNotifier(_ServiceManager):
    """Sends a heartbeat from the running event loop, unless ``silence()``, in seconds, says that a worker is stuck."""

    def __init__(self, silence: Callable[[], float], bus: Bus, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__(bus, environ)
        self._silence = silence
        if self._period:
            self._beat()

    def _beat(self) -> None:
        if self._silence() <= STUCK_TIMEOUT:
            self._send("WATCHDOG=1")
        asyncio.get_running_loop().call_later(self._period, self._beat)
