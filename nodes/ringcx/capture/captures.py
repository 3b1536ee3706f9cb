"""The captures of a process: of all calls, or of those that an operator asks for, also before they come."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from flowcore import CannotStart, Resource, Session
from flowcore.call_ids import match
from flowcore.files import Folder
from nodes.ringcx.call_attributes import CALL_IDS
from nodes.ringcx.capture.call_edge import CallEdge
from nodes.ringcx.capture.capture_config import CaptureConfig
from nodes.ringcx.capture.capture_file import Capture, Mask
from nodes.ringcx.capture.secret_mask import WebSocketMask
from nodes.ringcx.credentials import Credentials
from nodes.ringcx.redact import Redactor

CONTROL_REQUEST = "capture"

WRITE_INTERVAL = 0.2
"""Seconds between two passes of the thread that writes; a kill loses so much of a capture."""

CLOSE_TIMEOUT = 4.0
"""Seconds that the thread has at the end of the process."""

SLOT_TIMEOUT = 1.0
"""Seconds that a request waits for the event loop."""

MAX_WISHES = 100
"""Calls that are waited for at once; the oldest is forgotten first."""

MAX_WAIT = 24 * 3600.0
"""Seconds for which a call is waited for at most."""

NO_START = "no-start"
"""Stands for the flow in the name of a connection that never became a call."""


@dataclass
class Wish:
    """The next call is to be captured, from an id such as a phone number, if one is given; ``until`` monotonic."""

    name: str
    source: str
    until: float


@dataclass
class Captures(Resource):
    """Begins and ends the captures of one process; one thread writes them all. A `CallEdge`'s ``captures``."""

    lasting = True

    config: CaptureConfig
    secret: SecretStr | None = None

    def __post_init__(self) -> None:
        self._edges: dict[str, CallEdge] = {}
        self._wishes: dict[str, Wish] = {}
        self._requests: deque[tuple[Mapping[str, Any], Future[Any]]] = deque()
        self._writing: list[Capture] = []
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # of these two
        self._closing = threading.Event()

    def open(self) -> None:
        """Try to write to the folder if all calls are captured. Raises `CannotStart`."""
        if self.config.calls == "all":
            Folder(self.config.path.root).open()

    def close(self) -> None:
        """Finish all files."""
        self._closing.set()
        if (thread := self._thread) is not None:
            thread.join(CLOSE_TIMEOUT)

    # Called by the listener and its calls, in the event loop's thread.

    def poll(self) -> None:
        """Answer the requests that came since the last slot."""
        while self._requests:
            request, answer = self._requests.popleft()
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(self._answer(request))
                except Exception as error:  # a request must not end the calls of this process
                    answer.set_exception(error)

    def started(self, edge: CallEdge) -> None:
        """Begin the capture of a call that is wanted."""
        if edge.inlet is None or self.config.calls == "none":
            return
        self._edges[edge.inlet.flow] = edge
        if self.config.calls == "all" or self._take_wish(edge):
            self._begin(edge)

    def ended(self, edge: CallEdge, now: float) -> None:
        """Forget a call; capture a connection that ends without one, if all are captured."""
        if edge.inlet is not None:
            self._edges.pop(edge.inlet.flow, None)
        elif self.config.calls == "all" and edge.kept:
            self._begin(edge)

    def _begin(self, edge: CallEdge, *, joined: bool = False) -> Capture:
        """Begin a capture; ``joined`` in the middle of the call."""
        now, started = self.now(), datetime.now().astimezone()
        flow = edge.inlet.flow if edge.inlet is not None else f"{started:%Y%m%dT%H%M%S}-{NO_START}"
        session = Session(flow, started, edge.attributes)
        credentials = Credentials(self.secret.get_secret_value()) if self.secret else None
        mask: Mask = WebSocketMask(credentials)
        if edge.connection.transport == "grpc":
            from nodes.ringcx.capture.secret_mask_grpc import GrpcMask

            mask = GrpcMask(credentials)
        report = edge.inlet.report if edge.inlet is not None else self.report
        capture = Capture(self.config, session, edge.connection, joined, now, Redactor(credentials), mask, report)
        edge.begin(capture, now if joined else None)
        with self._lock:
            self._writing.append(capture)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._write, name="flowcore-captures", daemon=True)
                self._thread.start()
        return capture

    def _take_wish(self, edge: CallEdge) -> bool:
        """Return whether this is a call that was waited for, and wait for it no longer, in any worker."""
        ids = [edge.attributes.get(name, "") for name in CALL_IDS]
        for wish in tuple(self._wishes.values()):
            if wish.until < self.now():
                del self._wishes[wish.name]
            elif not wish.source or match(wish.source, filter(None, ids)) == "exact":
                del self._wishes[wish.name]
                self.tell(wish.name)
                return True
        return False

    def on_worker_message(self, worker: int, message: Any) -> None:
        self._wishes.pop(str(message), None)

    # Requests of ``flowcore capture``.

    def on_control_request(self, request: Mapping[str, Any]) -> Any:
        if request["ask"] != CONTROL_REQUEST:
            return super().on_control_request(request)
        if objection := _objection(request):
            return {"error": objection}
        answer: Future[Any] = Future()
        self._requests.append((request, answer))
        try:
            done = answer.result(SLOT_TIMEOUT)
            return {"paths": [str(capture.locate()) for capture in done]} if isinstance(done, list) else done
        except FutureTimeoutError:
            answer.cancel()
            return {"error": "the process is busy: ask again"}
        except CannotStart as error:
            return {"error": str(error)}

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any] | list[Capture] | None:
        """Do what a request asks; None if it is for a call of another worker."""
        action = request.get("do")
        if self.config.calls == "none":
            return {"error": "the graph allows no captures: its listener has  capture: {calls: none}"}
        if action == "next":
            wish = Wish(str(request["name"]), str(request.get("source", "")), self.now() + float(request["within"]))
            self._wishes = dict([*self._wishes.items(), (wish.name, wish)][-MAX_WISHES:])
            return {"waiting": len(self._wishes)}
        if action == "forget":
            waiting = len(self._wishes)
            self._wishes.clear()
            return {"waiting": waiting}
        edges = [edge for edge in self._edges.values() if _is_meant(edge, request)]
        if not edges:
            return None
        running = [edge.capture for edge in edges if edge.capture is not None and not edge.capture.over]
        if action == "stop":
            for edge in edges:
                edge.stop("stopped", self.now())
            return running
        return [edge.capture if edge.capture in running else self._begin(edge, joined=True) for edge in edges]

    # The thread that writes.

    def _write(self) -> None:
        while True:
            closing = self._closing.wait(WRITE_INTERVAL)
            for capture in tuple(self._writing):
                if closing:
                    capture.end("stopped", self.now())
                if not capture.write():
                    with self._lock:
                        self._writing.remove(capture)
            with self._lock:
                if not self._writing:
                    self._thread = None
                    return


def _objection(request: Mapping[str, Any]) -> str:
    """Return what is wrong with a request; empty if nothing is."""
    if request.get("do") not in ("begin", "stop", "next", "forget"):
        return "unknown action: choose begin, stop, next or forget"
    if request["do"] != "next":
        return ""
    within = request.get("within")
    if not isinstance(within, int | float) or not 0 <= within <= MAX_WAIT or not request.get("name"):
        return "the next call needs a name for the request, and up to 24 hours to come"
    return ""


def _is_meant(edge: CallEdge, request: Mapping[str, Any]) -> bool:
    if edge.inlet is None:
        return False
    call_id = request.get("call_id")
    return edge.attributes.get("call_id") == call_id if call_id else edge.inlet.flow == request.get("flow")
