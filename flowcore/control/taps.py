"""Listening to what a node of a running call gives, from another process: lossy, and nothing to the call.

A tap stands where a node is called or emits, while somebody listens, and is gone without a trace after that: a call
that nobody listens to pays nothing. What it hears goes into a short queue for each listener, which drops the oldest;
one thread of the process sends from those queues, without waiting for anybody. So a listener that is slow, stopped or
gone costs itself audio, and nobody else anything.

Each listener has a socket of its own, in this process, so that a supervisor is not in between. On it come lines of
JSON, first the *hello* (flow, call id, node, port, format), then one for each chunk, with ``bytes`` of its samples
behind it, and ``lost``, the chunks that were dropped before it; last ``{"end": reason}``.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from flowcore.audio import Audio
from flowcore.control.address import directory
from flowcore.engine.engine import Engine
from flowcore.engine.flow import CLOSED, Flow
from flowcore.engine.node_run import NodeRun
from flowcore.errors import CannotStart
from flowcore.formats import Format
from flowcore.node import Demux, Listener, Sink

BACKLOG = 100
"""Chunks that wait for a listener at most: 2 s in pieces of 20 ms, 32 KB at 8 kHz."""
PERIOD = 0.020
"""Seconds between two looks at the queues."""
ACCEPT = 10.0
"""Seconds that a listener has to come."""
LISTENERS = 64
"""At once, in one process."""


class Taps:
    """All that is listened to in one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._taps: dict[tuple[str, str, int], Tap] = {}
        self._ears: list[TapClient] = []
        self._running = False

    def open(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Let somebody listen to ``node`` (and ``port``) of ``flow``: the path to connect to, or what is wrong.

        None when the flow is not here. From any thread.
        """
        flow = self._engine.flows.get(str(request.get("flow")))
        if flow is None or flow.state == CLOSED:
            return None
        try:
            node, port = _place(flow, str(request.get("node", "")), str(request.get("port", "")))
            with self._lock:
                if len(self._ears) >= LISTENERS:
                    return {"error": f"{LISTENERS} listen already"}
                key = (flow.id, node, port)
                tap = self._taps.get(key) or Tap(flow, node, port)
                ear = TapClient(tap)
                self._taps[key] = tap
                self._ears.append(ear)
                tap.ears = (*tap.ears, ear)
                tap.attach()
                if not self._running:
                    self._running = True
                    threading.Thread(target=self._serve, name="flowcore-taps", daemon=True).start()
        except (LookupError, CannotStart) as error:
            if flow.state == CLOSED:  # at this moment, and it has let go of its nodes
                return None
            return {"error": str(error.args[0])}
        return {"path": ear.path}

    def _serve(self) -> None:
        while True:
            time.sleep(PERIOD)
            for ear in tuple(self._ears):
                if not ear.serve():
                    ear.close()
                    with self._lock:
                        self._ears.remove(ear)
                        ear.tap.ears = tuple(other for other in ear.tap.ears if other is not ear)
            with self._lock:
                for key, tap in tuple(self._taps.items()):
                    if tap.ears:
                        tap.attach()  # a node that was opened or restarted since is called by its own name again
                    else:
                        tap.detach()
                        del self._taps[key]
                if not self._ears:
                    self._running = False
                    return


class Tap:
    """Stands at one output of a node, or before a sink; ``attach`` and ``detach`` may be called from any thread."""

    def __init__(self, flow: Flow, node: str, port: int) -> None:
        self.flow = flow
        self.node = node
        self.run: NodeRun = flow.runs[node]
        self.port = port
        self.ears: tuple[TapClient, ...] = ()
        plan = self.run.plan
        self.port_name = plan.cls.outputs[port] if plan.cls.outputs else ""
        self.format: Format | None = plan.gives[port] if plan.gives else plan.given
        self._emit: Callable[[Any], None] | None = self.run.emits[port] if plan.gives else None

    def attach(self) -> None:
        """Stand there, if the node is at work and it does not yet."""
        run = self.run
        node = run.node  # looked at once: a flow that ends lets go of it, in another thread
        if isinstance(node, Sink):
            if run.work == node.process:
                self._set(run, self._taken)
            return
        self._exchange(self._emit, self._given)
        if issubclass(run.plan.cls, Listener):
            if self.flow.push is self._emit:
                self.flow.push = self._given
        elif node is not None and not isinstance(node, Demux) and run.work == node.process:
            self._set(run, self._worked)

    def detach(self) -> None:
        """Leave all as it was."""
        run = self.run
        node = run.node
        self._exchange(self._given, self._emit)
        if self._emit is not None and self.flow.push == self._given:
            self.flow.push = self._emit
        if node is not None and run.work in (self._taken, self._worked):
            self._set(run, node.process)

    def _exchange(self, before: Callable[[Any], None] | None, after: Callable[[Any], None] | None) -> None:
        emits = self.run.emits
        with suppress(IndexError):  # the flow has ended, maybe between these two looks
            if before is not None and after is not None and emits[self.port] == before:
                emits[self.port] = after

    @staticmethod
    def _set(run: NodeRun, work: Callable[..., None]) -> None:
        run.work = work
        if run.failed:  # in its own thread, at this moment
            run.work = run.discard

    def _taken(self, chunk: Any) -> None:
        self._hear(chunk)
        self.run.node.process(chunk)

    def _worked(self, chunk: Any, emit: Any) -> None:
        self.run.node.process(chunk, self._given)

    def _given(self, chunk: Any) -> None:
        self._hear(chunk)
        self._emit(chunk)  # type: ignore[misc]  # only a sink has none

    def _hear(self, chunk: Any) -> None:
        for ear in self.ears:
            ear.hear(chunk)


class TapClient:
    """One listener: its queue and its socket. ``hear`` is called where the call is worked on, ``serve`` elsewhere."""

    def __init__(self, tap: Tap) -> None:
        """Raises `CannotStart`."""
        self.tap = tap
        self.path = str(directory() / f"{os.getpid()}-{secrets.token_hex(4)}.tap")
        self._waiting: deque[tuple[int, Any]] = deque(maxlen=BACKLOG)
        self._came = 0
        self._sent = 0
        self._until = time.monotonic() + ACCEPT
        self._out = memoryview(b"")
        self._ended = False
        self._connection: socket.socket | None = None
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.setblocking(False)
        try:
            self._listening.bind(self.path)
            self._listening.listen(1)
        except OSError as error:  # its path may be a little longer than the hub's, and too long
            self._listening.close()
            raise CannotStart(f"cannot listen at {self.path}: {error.strerror or error}") from error

    def hear(self, chunk: Any) -> None:
        """Keep a chunk for it; the oldest goes when there are too many."""
        self._came += 1
        self._waiting.append((self._came, chunk))

    def serve(self) -> bool:
        """Send what it takes now; False when it is gone, or has heard the end."""
        connection = self._connection or self._accept()
        if connection is None:
            return time.monotonic() < self._until and self.tap.flow.state != CLOSED
        try:
            while self._out or self._next():
                self._out = self._out[connection.send(self._out) :]
            if self._ended:
                return False
            return connection.recv(1) != b""  # it has nothing to say: only its end is heard
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Hang up."""
        if self._connection is None:
            self._listening.close()
            _unlink(self.path)
        else:
            self._connection.close()

    def _accept(self) -> socket.socket | None:
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:
            return None
        connection.setblocking(False)
        self._listening.close()
        _unlink(self.path)
        self._connection = connection
        tap = self.tap
        self._say(
            {
                "flow": tap.flow.id,
                "call_id": tap.flow.session.attributes.get("call_id", ""),
                "node": tap.node,
                "port": tap.port_name,
                "format": vars(tap.format) if tap.format else {},
            }
        )
        return connection

    def _next(self) -> bool:
        """Put the next message into ``_out``; False when there is none now."""
        if not self._waiting:
            if self._ended or self.tap.flow.state != CLOSED:
                return False
            self._ended = True
            self._say({"end": self.tap.flow.reason})
            return True
        number, chunk = self._waiting.popleft()
        lost, self._sent = number - self._sent - 1, number
        if isinstance(chunk, Audio):
            data = chunk.samples.tobytes()
            head = {"track": chunk.track, "start": chunk.start, "rate": chunk.rate, "encoding": chunk.encoding}
            self._say({**head, "channels": chunk.channels, "lost": lost, "bytes": len(data)}, data)
        else:
            self._say({**msgspec.to_builtins(chunk), "lost": lost, "bytes": 0})
        return True

    def _say(self, head: Mapping[str, Any], data: bytes = b"") -> None:
        self._out = memoryview(json.dumps(head).encode() + b"\n" + data)


def _place(flow: Flow, node: str, port: str) -> tuple[str, int]:
    """Which node and which of its outputs is meant. Raises `LookupError` with what there is."""
    runs = dict(flow.runs)  # at once: it may end now
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


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:  # somebody tidied up
        return
