"""Taps: the chunks of one node of a running call, for clients in other processes.

A tap is lossy and costs the call next to nothing: a probe (`flowcore.engine.node_run.NodeRun.add_probe`) puts each
chunk into a short queue of the client's, which drops the oldest; one thread of the process sends from all queues,
without waiting for a client. So a client that is slow, stopped or gone costs itself audio, and no other client and no
call anything. A call without taps has no probes and pays nothing.

Each client has a socket of its own, opened by the process that holds the call, so that no supervisor stands in
between. On the socket come lines of JSON, first the *hello* (flow, call id, node, port, format), then one line for each
chunk, ``{"chunk": {...}, "lost": 0, "bytes": 320}``: its description, the chunks that were dropped before it, and the
size of the samples behind the line; last ``{"end": reason}``. The description stands by itself, because the fields of a
chunk may have any name: a text has an ``end`` too.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from flowcore.audio import Audio
from flowcore.control.address import directory
from flowcore.engine.engine import Engine
from flowcore.engine.flow import CLOSED, Flow
from flowcore.errors import CannotStart

MAX_QUEUE = 100
"""Chunks that wait for one client: 2 s in pieces of 20 ms, 32 KB at 8 kHz."""
SEND_INTERVAL = 0.020
"""Seconds between two passes over the queues."""
CONNECT_TIMEOUT = 10.0
"""Seconds that a client may take to connect."""
MAX_CLIENTS = 64
"""Clients of one process at once."""


class Taps:
    """The tap clients of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._clients: list[TapClient] = []
        self._running = False

    def open(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Tap ``node`` (and ``port``) of ``flow``: the answer holds the path to connect to, or an error.

        None when this engine has no such flow. From any thread.
        """
        flow = self._engine.flows.get(str(request.get("flow")))
        if flow is None or flow.state == CLOSED:
            return None
        try:
            node, port = _place(flow, str(request.get("node", "")), str(request.get("port", "")))
            with self._lock:
                if len(self._clients) >= MAX_CLIENTS:
                    return {"error": f"{MAX_CLIENTS} clients are connected already"}
                client = TapClient(flow, node, port)
                self._clients.append(client)
                if not self._running:
                    self._running = True
                    threading.Thread(target=self._serve, name="flowcore-taps", daemon=True).start()
        except (LookupError, CannotStart) as error:
            if flow.state == CLOSED:  # since the check above; its nodes are gone
                return None
            return {"error": str(error.args[0])}
        return {"path": str(client.path)}

    def _serve(self) -> None:
        while True:
            time.sleep(SEND_INTERVAL)
            for client in tuple(self._clients):
                if not client.serve():
                    client.close()
                    with self._lock:
                        self._clients.remove(client)
            with self._lock:
                if not self._clients:
                    self._running = False
                    return


class TapClient:
    """One client: its probe, its queue and its socket. The chain's thread calls ``take``, the taps' thread the rest."""

    def __init__(self, flow: Flow, node: str, port: int) -> None:
        """Place the probe and open the socket. Raises `CannotStart`, and `LookupError` when the flow has ended."""
        self.path = directory() / f"{os.getpid()}-{secrets.token_hex(4)}.tap"
        self.taken = 0
        self.queue: deque[tuple[int, Any]] = deque(maxlen=MAX_QUEUE)
        self._flow = flow
        self._node = node
        self._run = flow.runs[node]
        self._port = port
        self._sent = 0
        self._deadline = time.monotonic() + CONNECT_TIMEOUT
        self._out = memoryview(b"")
        self._ended = False
        self._connection: socket.socket | None = None
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.setblocking(False)
        try:
            self._listening.bind(str(self.path))
            self._listening.listen(1)
        except OSError as error:  # its path may be a little longer than the hub's, and too long
            self._listening.close()
            raise CannotStart(f"cannot listen at {self.path}: {error.strerror or error}") from error
        self._run.add_probe(port, self.take)

    def take(self, chunk: Any) -> None:
        """Queue a chunk; the oldest goes when there are too many."""
        self.taken += 1
        self.queue.append((self.taken, chunk))

    def serve(self) -> bool:
        """Send what the socket takes now. Returns False once the client is gone or has got the end."""
        connection = self._connection or self._accept()
        if connection is None:
            return time.monotonic() < self._deadline and self._flow.state != CLOSED
        try:
            while self._out or self._next():
                self._out = self._out[connection.send(self._out) :]
            if self._ended:
                return False
            return connection.recv(1) != b""  # a client sends nothing: only its end is read
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Remove the probe and hang up."""
        self._run.remove_probe(self._port, self.take)
        if self._connection is None:
            self._listening.close()
            self.path.unlink(missing_ok=True)
        else:
            self._connection.close()

    def _accept(self) -> socket.socket | None:
        """Let the client in once its probe is in place, so that it misses no chunk after the hello."""
        if self._flow.state != CLOSED and not self._run.has_probe(self._port, self.take):
            return None
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:
            return None
        connection.setblocking(False)
        self._listening.close()
        self.path.unlink(missing_ok=True)
        self._connection = connection
        plan, call_id = self._run.plan, self._flow.session.attributes.get("call_id", "")
        given = plan.gives[self._port] if plan.gives else plan.given
        port = plan.cls.outputs[self._port] if plan.cls.outputs else ""
        hello = {"flow": self._flow.id, "call_id": call_id, "node": self._node, "port": port}
        self._say({**hello, "format": vars(given) if given else {}})
        return connection

    def _next(self) -> bool:
        """Put the next message into ``_out``. Returns False when there is none now."""
        if not self.queue:
            if self._ended or self._flow.state != CLOSED:
                return False
            self._ended = True
            self._say({"end": self._flow.reason})
            return True
        number, chunk = self.queue.popleft()
        lost, self._sent = number - self._sent - 1, number
        if isinstance(chunk, Audio):
            data = chunk.samples.tobytes()
            fields = ("track", "start", "rate", "encoding", "channels")
            described = {field: getattr(chunk, field) for field in fields}
        else:
            data, described = b"", msgspec.to_builtins(chunk)
        self._say({"chunk": described, "lost": lost, "bytes": len(data)}, data)
        return True

    def _say(self, head: Mapping[str, Any], data: bytes = b"") -> None:
        self._out = memoryview(json.dumps(head).encode() + b"\n" + data)


def _place(flow: Flow, node: str, port: str) -> tuple[str, int]:
    """Return the node that is meant and its output's number. Raises `LookupError` with the names to choose from."""
    runs = dict(flow.runs)  # in one step: the flow may end meanwhile
    if not node:
        audio = [name for name, run in runs.items() if run.plan.gives and run.plan.gives[0].kind == "audio"]
        linear = [name for name in audio if runs[name].plan.gives[0].encoding == "s16"]
        if not audio:
            raise LookupError(f"no node gives audio: name one of {', '.join(runs)}")
        node = (linear or audio)[0]
    run = runs.get(node)
    if run is None:
        raise LookupError(f"there is no node {node!r}: name one of {', '.join(runs)}")
    plan = run.plan
    ports = plan.cls.outputs
    if ports and port not in ports:
        raise LookupError(f"say which output: {', '.join(f'{node}.{one}' for one in ports)}")
    if port and not ports:
        raise LookupError(f"{node} has no output {port!r}: leave it out")
    given = plan.gives[ports.index(port) if ports else 0] if plan.gives else plan.given
    if given is not None and given.kind == "packets":
        raise LookupError(f"{node} has packets as they came, neither ordered nor whole: name a node behind it")
    return node, ports.index(port) if ports else 0
