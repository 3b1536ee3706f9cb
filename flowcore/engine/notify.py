"""Tells systemd how the process is: ready, alive, stopping (the datagrams of ``sd_notify(3)``).

Alive means that slots go on and that no thread has been in one strand for longer than ``STUCK``: a service whose unit
says ``WatchdogSec=`` is restarted when that is not said in time. Without ``NOTIFY_SOCKET`` nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowcore.engine.events import Event
from flowcore.engine.pool import ThreadPool

if TYPE_CHECKING:
    from flowcore.engine.engine import Engine

STUCK: Final = 10.0
"""Seconds in one strand after which no more heartbeats are sent."""


class Notifier:
    """Sends what ``engine`` does to the service manager. ``environ`` as systemd sets it."""

    def __init__(self, engine: Engine, environ: Mapping[str, str] = os.environ) -> None:
        self._engine = engine
        self._address = environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        # Half of the time that the manager waits, as sd_watchdog_enabled(3) advises.
        self._period = int(environ.get("WATCHDOG_USEC", "0")) / 2e6
        self._next = 0.0
        if self._address:
            engine.bus.subscribe(self._heard)
            if self._period:
                engine.slots.at_end(self._beat)

    def _heard(self, event: Event) -> None:
        if event.name == "listening":
            self._send("READY=1")
        elif event.name == "stopping":
            self._send("STOPPING=1")

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        pool = self._engine.pool
        since = min(tuple(pool.working_since.values()), default=now) if isinstance(pool, ThreadPool) else now
        if now - since <= STUCK:
            self._next = now + self._period
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(text.encode(), self._address)
