"""The worker's side of the channel: what the supervisor gave to the worker, and the way back."""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

from flowcore.control.handler import engine_handler
from flowcore.engine.bus import Bus, Event
from flowcore.engine.engine import STOP_TIMEOUT, Engine
from flowcore.engine.event_fields import event_record
from flowcore.engine.sockets import Address
from flowcore.engine.totals import Totals
from flowcore.errors import FlowcoreError, UsageError
from flowcore.workers.call_limit import SharedCallLimit
from flowcore.workers.channel import ANNOUNCED_EVENTS, FORWARDED_EVENTS, MAX_BATCH, Channel
from flowcore.workers.graph_job import plan_of
from flowcore.workers.messages import WorkerMessages
from flowcore.workers.notify import is_stuck

ALIVE_INTERVAL = 1.0
"""Seconds between two heartbeats of a worker."""
KILL_DELAY = 1.0
"""Seconds beyond ``STOP_TIMEOUT`` after which a worker is killed, or ends itself without its supervisor."""


class WorkerLink:
    """A worker's ``number``, its ``job``, the parameters of its engine, and its channel to the supervisor."""

    def __init__(self, channel: int) -> None:
        """Wait for the job at the file descriptor ``channel``. Raises `UsageError` when no supervisor is there."""
        self._socket = socket.socket(fileno=channel)
        line = b""
        while not line.endswith(b"\n"):
            data = self._socket.recv(65536, socket.MSG_PEEK)
            if not data:
                self._socket.close()
                raise UsageError("a worker is started by `flowcore run --workers`, not by hand")
            line += self._socket.recv(data.find(b"\n") + 1 or len(data))  # what follows is for `run`
        given = json.loads(line)
        self.number: int = given["number"]
        self.job: dict[str, Any] = given["job"]
        self.bus = Bus()
        self.call_limit = SharedCallLimit(**given["call_limit"])
        self.messages = WorkerMessages(self.bus)
        self.sockets: dict[Address, socket.socket] = {
            (host, port): socket.socket(fileno=fd) for host, port, fd in given["sockets"]
        }
        for inherited in (self._socket, *self.sockets.values()):
            inherited.set_inheritable(False)  # programs that this worker starts get none of them
        self._channel: Channel
        self._published = 0  # ends of calls in the totals that the supervisor has

    async def run(self, engine: Engine, observed: bool = False) -> None:
        """Run the engine, report and answer; when the supervisor is dead, end the calls in order.

        Where the run is ``observed``, the supervisor gets all events, as the log shows them.
        """
        self._channel = await Channel.open(self._socket)
        threading.Thread(target=_exit_after_hang_up, args=(os.dup(self._socket.fileno()),), daemon=True).start()
        self.bus.subscribe(self._forward)
        if observed:
            self.bus.subscribe(self._show)
        engine.slots.at_end(self._send_messages)
        engine.slots.at_end(lambda: self._publish(engine.totals))
        tasks = [asyncio.create_task(self._serve(engine)), asyncio.create_task(self._beat(engine))]
        try:
            await engine.run()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._channel.send({"totals": engine.totals.to_message()})
            self._channel.close()
            await self._channel.wait_closed()

    def _forward(self, event: Event) -> None:
        if event.name in FORWARDED_EVENTS:
            self._channel.send({"event": {**vars(event), "data": dict(event.data)}})

    def _show(self, event: Event) -> None:
        if event.name not in ANNOUNCED_EVENTS:
            self._channel.send({"observed": event_record(event)})

    def _send_messages(self) -> None:
        messages = self.messages.take()
        for at in range(0, len(messages), MAX_BATCH):
            self._channel.send({"messages": messages[at : at + MAX_BATCH]})

    def _publish(self, totals: Totals) -> None:
        """Send the counters with the end of each call, so that a kill loses those of live calls only."""
        if totals.ended != self._published:
            self._published = totals.ended
            self._channel.send({"totals": totals.to_message()})

    async def _beat(self, engine: Engine) -> None:
        while True:
            await asyncio.sleep(ALIVE_INTERVAL)
            if not is_stuck(engine):
                self._channel.send({"alive": True})

    async def _serve(self, engine: Engine) -> None:
        handler = engine_handler(engine)
        preparing: asyncio.Task[None] | None = None
        async for request in self._channel.messages():
            if "messages" in request:
                self.messages.deliver(request["from"], request["messages"])
            elif request.get("ask") == "prepare":
                preparing = asyncio.create_task(self._prepare(engine, request))  # it may load a model
            elif "activate" in request:
                engine.activate()
            elif "discard" in request:
                engine.discard()
            elif "finish" in request:
                engine.finish(request["finish"])
            elif "hand_over" in request:
                engine.hand_over(request["hand_over"])
            elif "stop" in request:
                engine.stop()
            else:
                try:
                    self._channel.send({"id": request["id"], "answer": await handler(request)})
                except LookupError:
                    self._channel.send({"id": request["id"]})
        if preparing is not None:
            preparing.cancel()
        engine.stop()

    async def _prepare(self, engine: Engine, request: Mapping[str, Any]) -> None:
        error = ""
        try:
            plan = await asyncio.to_thread(plan_of, request["graph"])
            await engine.prepare(plan, request["graph"]["version"])
        except FlowcoreError as failed:
            error = str(failed)
        self._channel.send({"id": request["id"], "answer": error})


def _exit_after_hang_up(channel: int) -> None:
    """End a worker that outlives its supervisor for longer than its calls may take to end, even if its loop hangs."""
    hang_up = select.poll()
    hang_up.register(channel, 0)  # poll(2) reports a hang-up without being asked to
    hang_up.poll()
    time.sleep(STOP_TIMEOUT + KILL_DELAY)
    os._exit(1)
