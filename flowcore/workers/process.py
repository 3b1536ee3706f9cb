"""One worker as its supervisor sees it: a process, its channel, and what it reported last."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from flowcore.engine.sockets import Address
from flowcore.engine.totals import Totals
from flowcore.environment import WORKER_COUNT
from flowcore.workers.call_limit import SharedCallLimit
from flowcore.workers.channel import Channel

GROUP_SIGNALS = (signal.SIGINT, signal.SIGHUP)
"""Signals of a terminal to its whole process group. They stay pending in a worker until it can ignore them."""


class WorkerProcess:
    """A worker process. ``number`` counts from 1; ``alive_at`` is its last heartbeat, in monotonic seconds."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.number = number
        self.channel = channel
        self.totals = Totals()
        self.calls: dict[str, str] = {}  # call ids of its live flows
        self.alive_at = 0.0
        self._process = process
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Any]] = {}

    @classmethod
    async def start(
        cls,
        number: int,
        row: int,
        command: Sequence[str],
        job: Mapping[str, Any],
        call_limit: SharedCallLimit,
        sockets: Mapping[Address, socket.socket],
    ) -> WorkerProcess:
        """Start ``command`` with the descriptor of its channel as last argument, and send the job.

        ``row`` is that of `call_limit`.
        """
        ours, theirs = socket.socketpair()
        fds = [theirs.fileno(), call_limit.fd, *(listening.fileno() for listening in sockets.values())]
        environment = {**os.environ, WORKER_COUNT: str(call_limit.rows)}
        with theirs:
            signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)  # the new process inherits this
            try:
                process = await asyncio.create_subprocess_exec(
                    *command, str(theirs.fileno()), pass_fds=fds, stdin=asyncio.subprocess.DEVNULL, env=environment
                )
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
        worker = cls(number, process, await Channel.open(ours))
        limit = {"limit": call_limit.limit, "rows": call_limit.rows, "row": row, "fd": call_limit.fd}
        addresses = [[*address, listening.fileno()] for address, listening in sockets.items()]
        worker.channel.send({"number": number, "call_limit": limit, "sockets": addresses, "job": job})
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    def beat(self) -> None:
        """Note that the worker is alive."""
        self.alive_at = time.monotonic()

    async def ask(self, request: Mapping[str, Any]) -> Any:
        """Return the answer to a request from the control socket. Raises `LookupError` when it does not know one."""
        number = next(self._ids)
        future = self._pending[number] = asyncio.get_running_loop().create_future()
        try:
            self.channel.send({**request, "id": number})
            reply = await future
        finally:
            self._pending.pop(number, None)
        if "answer" not in reply:
            raise LookupError(request["ask"])
        return reply["answer"]

    def answered(self, reply: Mapping[str, Any]) -> None:
        """Hand a reply to the `ask` that waits for it, if one still does."""
        if (future := self._pending.pop(reply["id"], None)) and not future.done():
            future.set_result(reply)

    async def wait(self) -> int:
        """Wait until the process has ended; cancel pending requests and return its exit code."""
        self.channel.close()
        code = await self._process.wait()
        for future in self._pending.values():
            future.cancel()
        return code


def describe_exit(code: int) -> str:
    """Return ``SIGKILL`` or ``exit code 1``; a negative code is the number of the signal that ended the process."""
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"
