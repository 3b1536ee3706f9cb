"""One RingCX call over WebSocket: turns its messages into packets of its flow, and ends one when the other ends."""

from __future__ import annotations

from urllib.parse import parse_qsl

from websockets.http11 import Request

from flowcore import Host, Packet
from nodes.net.connection import CLOSE_TIMEOUT
from nodes.net.peer import Closable
from nodes.ringcx.access_policy import Admission
from nodes.ringcx.arrival_times import estimate_arrivals
from nodes.ringcx.call_guard import CHECK_INTERVAL, CallGuard, Cause
from nodes.ringcx.call_state import ENDED, CallState, Ignored, ProtocolError, Repaired
from nodes.ringcx.capture.call_edge import NO_EDGE, CallEdge
from nodes.ringcx.messages import Start, attributes

CLOSE_CODES: dict[Cause, int] = {
    "no_start": 1008, "not_allowed": 1008, "no_room": 1013, "draining": 1001, "operator": 1000,
    "flow_failed": 1011,
}  # fmt: skip


class CallPeer(CallGuard):
    """One connection of RingCX, from its upgrade request to its last message. A `nodes.net.peer.Peer`."""

    def __init__(
        self,
        host: Host,
        request: Request,
        admission: Admission,
        *,
        start: float,
        idle: float,
        edge: CallEdge = NO_EDGE,
    ) -> None:
        super().__init__(host, admission, start=start, idle=idle, edge=edge)
        self._searching = admission.searching  # checked for each message
        self._query = request.path.partition("?")[2]
        self._call = CallState()
        self._connection: Closable | None = None
        self._closing = False
        self._answer = ""  # the code and text with which this end closed
        self._close_at = float("inf")

    def opened(self, connection: Closable) -> None:
        self._connection = connection
        self._admission.opened()
        self._report_secret()

    def wants_read(self, now: float) -> bool:
        inlet = self._inlet
        if now < self._check_at and inlet is not None and not inlet.ended and not inlet.paused:
            return True
        self._check_at = now + CHECK_INTERVAL
        if self._closing or now < self._close_at < float("inf"):
            return True
        if now >= self._close_at:
            self._close(1000)
            return True
        if inlet is not None and not inlet.ended:
            if inlet.paused:
                self._heard_at = self._host.now()  # the silence is ours, and so is a stall
                self._call.hold(self._heard_at)
                return False
            if self._call.poll(now) == ENDED:
                self._end_call("stop")  # which ends the inlet
                return True
        self._check_limits(now, self._call.seconds)
        return True

    def messages_received(self, messages: list[bytes], now: float) -> None:
        self._heard_at = now
        receive, inlet, edge = self._call.receive, self._inlet, self._edge
        push = inlet.push if inlet is not None else None
        try:
            for data in messages:
                if self._closing:
                    return  # messages that the peer sent before it received our close frame
                if self._searching:
                    self._search(data)
                if edge.wants:
                    edge.message(data, now)
                event = receive(data, now)
                if type(event) is Packet:
                    push(event)  # type: ignore[misc]  # no media passes the table before Start
                else:
                    self._act(event)
                    push = self._inlet.push if self._inlet is not None else None  # it may have begun or ended
        except ProtocolError as error:
            self._reject(error)

    def late_messages(self, messages: list[bytes], since: float, until: float) -> None:
        for message, at in estimate_arrivals(messages, since, until):
            self.messages_received([message], at)

    def _act(self, event: object) -> None:
        """Act on an event other than media."""
        self._check_at = 0.0
        if type(event) is Repaired:
            self._act(event.result)
            for reason in event.reasons:
                self._report.dropped(reason)
        elif type(event) is Packet:
            if self._inlet is not None:
                self._inlet.push(event)
        elif type(event) is Start:
            self._start_call(attributes(parse_qsl(self._query), "query") | event.attributes)
        elif type(event) is Ignored:
            self._ignore(event.reason, event.seconds)
        elif self._call.state == ENDED:
            self._end_call("stop")

    def _search(self, data: bytes) -> None:
        """Search for the secret: in all messages up to Start, or in the whole call while its place is observed."""
        self._admission.search(data)
        self._searching = self._admission.searching
        self._report_secret()

    def _report_secret(self) -> None:
        if self._admission.observing and self._admission.secret_place:
            self._report.event("secret_found", place=self._admission.secret_place)

    def closed(self, reason: str) -> None:
        if self._inlet is not None and self._admission.observing and self._searching:
            self._inlet.report.event("secret_missing")
        websocket = getattr(self._connection, "websocket", None)  # a stand-in has none
        received = websocket.close_received if websocket is not None else None
        code = received.code if received is not None else None
        self._connection_closed(reason, hung_up=self._closing, code=code, answer=self._answer)

    def _end_call(self, reason: str) -> None:
        inlet, call = self._inlet, self._call
        if inlet is not None:
            # RingCX announces whole seconds, so one second is within its rounding.
            if call.announced and abs(call.announced - call.seconds) > max(1.0, 0.02 * call.announced):
                inlet.report.event("duration_mismatched", announced=call.announced, received=round(call.seconds, 2))
            inlet.end(reason)
        self._close_at = self._host.now() + CLOSE_TIMEOUT  # RingCX may want to close first

    def _hang_up(self, cause: Cause | ProtocolError, text: str = "") -> None:
        code = cause.code if isinstance(cause, ProtocolError) else CLOSE_CODES[cause]
        self._close(code, "no Start came" if cause == "no_start" else text)

    def _close(self, code: int, reason: str = "") -> None:
        self._closing = True
        self._answer = f"{code} {reason}".strip()
        if self._connection is not None:
            self._connection.close(code, reason)
