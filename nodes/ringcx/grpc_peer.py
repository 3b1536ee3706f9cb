"""One RingCX call over gRPC: turns its messages into packets of its flow, and ends one when the other ends."""

from __future__ import annotations

from collections import deque

from flowcore import Host, Packet
from nodes.net.grpc_framing import Code
from nodes.ringcx.access_policy import Admission
from nodes.ringcx.call_guard import CHECK_INTERVAL, CallGuard, Cause
from nodes.ringcx.call_state import Ignored, ProtocolError
from nodes.ringcx.capture.call_edge import NO_EDGE, CallEdge
from nodes.ringcx.dialog_state import BotTrack, DialogState, Note, Result
from nodes.ringcx.messages import Start
from nodes.ringcx.segments import Dropped, Filled

STATUS_CODES: dict[Cause, tuple[Code, str]] = {
    "no_start": ("DEADLINE_EXCEEDED", "no DialogInit came"),
    "not_allowed": ("PERMISSION_DENIED", ""),
    "no_room": ("UNAVAILABLE", ""),
    "draining": ("UNAVAILABLE", "the receiver stops"),
    "operator": ("OK", ""),
    "flow_failed": ("INTERNAL", "the receiver failed"),
}
"""The status for each cause, and the text if the cause brings none. RingCX documents only UNAUTHENTICATED."""

BURST = 2.0
"""Seconds of its speed that a call may save up, for audio that a stall of the network or this process held back."""


class GrpcPeer(CallGuard):
    """One stream of RingCX, from its first message to its last. A `nodes.net.grpc_connection.Handler`.

    ``speed`` is its maximum multiple of real time.
    """

    def __init__(
        self,
        host: Host,
        admission: Admission,
        *,
        start: float,
        idle: float,
        speed: float,
        bot: BotTrack = "agent",
        edge: CallEdge = NO_EDGE,
    ) -> None:
        super().__init__(host, admission, start=start, idle=idle, edge=edge)
        self.status: tuple[Code, str] | None = None
        """The status with which to end the stream, once it is not to be read any more, and a text for the peer."""
        self.answers: deque[bytes] = deque()  # RingCX expects none but the empty one at the end
        self._speed = speed
        self.dialog = DialogState(bot)
        self._refilled_at = self._opened_at
        self._credit = BURST * speed
        self._charged = 0.0  # seconds of audio already taken off the credit
        admission.opened()

    def wants_read(self, now: float) -> bool:
        """Return whether to read on: not while the flow is paused, nor while the peer is far too fast."""
        inlet = self._inlet
        if inlet is not None and inlet.paused:
            self._heard_at = now  # the silence is ours
            return False
        if self._credit <= 0:
            self._credit = min(self._credit + self._speed * (now - self._refilled_at), BURST * self._speed)
            self._refilled_at = now
        return self._credit > 0

    def poll(self, now: float) -> None:
        """Run one slot: enforce time limits and note the end of the flow, which set ``status``."""
        inlet = self._inlet
        if self.status or (now < self._check_at and not (inlet is not None and inlet.ended)):
            return
        self._check_at = now + CHECK_INTERVAL
        self._check_limits(now, self.dialog.seconds)

    def receive(self, data: bytes, now: float) -> None:
        """Process one message."""
        self._heard_at = now
        edge = self._edge
        if wanted := edge.wants:
            edge.message(data, now)
        try:
            for result in self.dialog.receive(data, now):
                self._act(result)
                if self.status:
                    return
        except ProtocolError as error:
            self._reject(error)
        if not wanted and self.dialog.kind != "segment_media":
            edge.keep(data, now)
        self._credit -= self.dialog.seconds - self._charged
        self._charged = self.dialog.seconds

    @property
    def closed(self) -> bool:
        """Whether the call has ended with its stream."""
        return self._ended

    def finish(self) -> None:
        """End the call: RingCX has sent all of it."""
        self.end("stop")
        self.status = self.status or ("OK", "")

    def end(self, reason: str, detail: str = "") -> None:
        """End the call with its stream, whichever side ended it; ``detail`` says how the peer broke gRPC."""
        if self._ended:
            return
        if self.status is None:
            for result in self.dialog.end(self._host.now()):
                self._act(result)
            if detail:
                self._reject(ProtocolError(1002, "broken_stream", detail))
        answer = " ".join(self.status or ()).strip()
        self._connection_closed(reason, hung_up=self.status is not None, answer=answer)

    def _act(self, result: Result) -> None:
        if type(result) is Packet:
            if self._inlet is not None:  # a dialog yields no packet before its Start, which may have been refused
                self._inlet.push(result)
        elif type(result) is Start:
            self._start_call(result.attributes)
            if self._inlet is not None and self._admission.observing:
                report, place = self._inlet.report, self._admission.secret_place
                report.event("secret_found", place=place) if place else report.event("secret_missing")
        elif type(result) is Ignored or type(result) is Dropped:
            self._ignore(result.reason, result.seconds)
        elif type(result) is Filled:
            self._report.filled(result.reason, result.seconds)
        elif type(result) is Note:
            self._report.event(result.what, **result.data)

    def _check_start(self, now: float) -> None:
        if not self.dialog.announced:
            super()._check_start(now)
        if self.status is None and now - self._heard_at >= self._idle_timeout:
            self.status = "OK", ""

    def _end_call(self, reason: str) -> None:
        if self._inlet is not None:
            self._inlet.end(reason)
        self.status = "OK", ""

    def _hang_up(self, cause: Cause | ProtocolError, text: str = "") -> None:
        if isinstance(cause, ProtocolError):
            self.status = "INVALID_ARGUMENT", text
        else:
            code, usual = STATUS_CODES[cause]
            self.status = code, text or usual
