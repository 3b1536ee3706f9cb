"""The running process's side of a takeover: gives its listening sockets to a process that is to follow it.

The new process connects to the control hub, and both send one JSON object a line:

1. new: ``{"ask": "takeover", "protocol": 1, "sockets": ["calls 127.0.0.1 3333", ...], "control": path}``
2. old: ``{"pid": 4711, "run": ..., "workers": [1, 2], "control": path, "sockets": [...], "silenced": [...]}``, with the
   descriptors of these sockets (SCM_RIGHTS); or ``{"error": ..., "elsewhere": false}``
3. new, once it accepts connections: ``{"ready": true}``
4. old, which accepts none any more: ``{"moved": true, "control": path}``

From 2 on, the old process sends ``{"silenced": [call, paused, parties]}`` when an operator silences one of its calls.
From 3 on, the new process may send ``{"stop": true}``. Each notices the other's end by the end of the connection. A new
process that ends before 3 has changed nothing. The old one answers 2 again when it has moved already, without sockets.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from flowcore.control.handler import ControlHandler
from flowcore.control.hub import Hub, Streams
from flowcore.engine.bus import Bus
from flowcore.engine.silencing import SilencedCall, SilencedCalls
from flowcore.environment import run_name

PROTOCOL: Final = 1
"""Version of the messages above; both processes must speak the same."""


class Runner(Protocol):
    """An engine, or the supervisor of several."""

    bus: Bus
    silenced: SilencedCalls

    def hand_over(self, seconds: float) -> None:
        """See `flowcore.engine.engine.Engine.hand_over`."""


def other_end(connection: socket.socket) -> tuple[int, int]:
    """Return the process and the user at the other end of a Unix socket."""
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def socket_name(kind: str, host: str, port: int) -> str:
    """Return the name of a listening socket: what comes to it, and where it listens."""
    return f"{kind} {host} {port}"


@dataclass(eq=False)
class Handover:
    """Answers a process that wants to take over from ``runner``, for the hub at which it asks.

    ``handlers`` are those of this process and its workers. ``sockets`` returns the listening sockets by `socket_name`;
    running calls have ``seconds`` to end. ``on_moved`` is called when another process has taken over, with the names of
    the sockets that it has; ``stop`` ends the running calls for it.
    """

    runner: Runner
    hub: Hub
    handlers: Mapping[int, ControlHandler]
    seconds: float
    sockets: Callable[[], Mapping[str, socket.socket]]
    on_moved: Callable[[list[str]], None]
    stop: Callable[[], None]
    successor: asyncio.Future[int] = field(default_factory=asyncio.Future)
    """The process that has taken over."""
    _asking: int = 0
    _moved: set[str] = field(default_factory=set)  # names of the sockets that another process has
    _watching: set[asyncio.StreamWriter] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.runner.silenced.on_change.append(self._tell)

    async def serve(self, connection: socket.socket, streams: Streams, request: Mapping[str, Any]) -> None:
        """Serve one process until it or this one ends."""
        reader, writer = streams
        pid, uid = other_end(connection)
        if objection := self._objection(request, uid):
            writer.write(_line(objection))
            return
        moved = self.successor.done()
        names = [] if moved else [name for name in self.sockets() if name in request["sockets"]]
        if not moved:
            self._asking = pid
        try:
            self._answer(connection, writer, names)
            if not moved:
                self._emit("takeover_requested", pid=pid)
            self._watching.add(writer)
            if not await reader.readline():
                if not moved:
                    self._emit("takeover_given_up", pid=pid)
                return
            if not moved:
                self._move(pid, names, request["control"])
            writer.write(_line({"moved": True, "control": str(self.hub.path)}))
            while line := await reader.readline():
                if "stop" in json.loads(line):
                    self.stop()
        finally:
            self._watching.discard(writer)
            self._asking = 0

    def _objection(self, request: Mapping[str, Any], uid: int) -> dict[str, Any]:
        if uid != os.getuid():
            return {"error": "it belongs to another user"}
        if request.get("protocol") != PROTOCOL or not isinstance(request.get("sockets"), list):
            return {"error": "its version of flowcore hands over in another way: stop it instead"}
        wanted = {name for name in request["sockets"] if name.startswith("calls ")}
        mine = {name for name in self.sockets() if name.startswith("calls ")} | self._moved
        if not wanted <= mine or not wanted:
            theirs = ", ".join(_address(name) for name in sorted(wanted)) or "no port"
            ours = ", ".join(_address(name) for name in sorted(mine)) or "no port yet"
            same_port = {name.split()[-1] for name in wanted} & {name.split()[-1] for name in mine} - {"0"}
            text = f"it listens at {ours}, and the new one would at {theirs}: a takeover keeps the address"
            return {"error": text, "elsewhere": not same_port}
        if self._asking and not self.successor.done():
            return {"error": f"process {self._asking} is taking over from it already"}
        return {}

    def _answer(self, connection: socket.socket, writer: asyncio.StreamWriter, names: list[str]) -> None:
        answer = _line(
            {
                "pid": os.getpid(),
                "run": run_name(),
                "workers": sorted(self.handlers),
                "control": str(self.hub.path),
                "sockets": names,
                "silenced": self.runner.silenced.entries(),
            }
        )
        if names:  # nothing is written before them, so the kernel takes this at once
            sockets = self.sockets()
            socket.send_fds(connection, [answer[:1]], [sockets[name].fileno() for name in names])
            answer = answer[1:]
        writer.write(answer)

    def _move(self, pid: int, names: list[str], control: str) -> None:
        self._moved = {name for name in names if name.startswith("calls ")}
        self.successor.set_result(pid)
        self.runner.hand_over(self.seconds)
        self.hub.step_aside(replaced=control == str(self.hub.path))
        self.on_moved(names)
        self._emit("handed_over", pid=pid, seconds=self.seconds)

    def _tell(self, entry: SilencedCall) -> None:
        for writer in self._watching:
            writer.write(_line({"silenced": entry}))

    def _emit(self, name: str, **data: Any) -> None:
        self.runner.bus.emit(name, **data)
        self.runner.bus.deliver()


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _address(name: str) -> str:
    _, host, port = name.split()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
