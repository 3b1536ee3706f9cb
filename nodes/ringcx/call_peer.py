"""Between a connection and its flow: what RingCX says becomes packets, and either's end becomes the other's."""

from __future__ import annotations

from urllib.parse import parse_qsl

from websockets.http11 import Request

from flowcore import Host, Inlet, Packet, Refused
from nodes.net.connection import CLOSE_TIMEOUT
from nodes.net.peer import Closable
from nodes.ringcx.access_policy import Admission
from nodes.ringcx.backdating import dated
from nodes.ringcx.protocol import ENDED, Broken, Call, Ignored, Start, attributes

LOOK = 0.25
"""Seconds between two looks at the time limits of a call that goes its usual way."""

PACE_AFTER = 2.0
"""Seconds of audio after which the pace of a call is compared with real time."""
PACE = 1.5
"""How much faster than real time a call may be before that is told."""


class CallPeer:
    """One connection of RingCX, from its upgrade request to its last message. A `nodes.net.peer.Peer`.

    ``start`` is the time in seconds that it has to say Start, ``idle`` the time without a message after which it is
    given up. ``visit`` is what the doorman knows of it. Raises `Refused` when no call would be let in now.
    """

    def __init__(self, host: Host, request: Request, visit: Admission, *, start: float, idle: float) -> None:
        host.admit()
        self._visit = visit
        self._looking = visit.looking  # asked for each message
        self._start_limit = start
        self._idle_limit = idle
        self._host = host
        self._query = request.path.partition("?")[2]
        self._call = Call()
        self._connection: Closable | None = None
        self._inlet: Inlet | None = None
        self._opened = self._heard = host.now()
        self._closing = False
        self._started = 0.0
        self._paced = False  # whether the pace was looked at
        self._look_at = 0.0  # when to look at time limits again
        self._hang_up_at = float("inf")

    def opened(self, connection: Closable) -> None:
        self._connection = connection
        self._visit.opened()
        self._tell_place()

    def wants_read(self, now: float) -> bool:
        inlet = self._inlet
        if now < self._look_at and inlet is not None and not inlet.ended and not inlet.paused:
            return True
        self._look_at = now + LOOK
        if self._closing or now < self._hang_up_at < float("inf"):
            return True
        if now >= self._hang_up_at:
            self._close(1000)
        elif inlet is None:
            if now - self._opened >= self._start_limit:
                self._close(1008, "no Start came")
        elif inlet.ended:  # not by us
            self._close(1001 if self._host.draining else 1011)
        elif inlet.paused:
            self._heard = self._host.now()  # the silence is ours, and so is a stall
            self._call.hold(self._heard)
            return False
        elif self._call.poll(now) == ENDED:
            self._end("stop")
        elif now - self._heard >= self._idle_limit:
            self._end("idle")
        elif not self._paced and self._call.seconds >= PACE_AFTER:
            self._check_pace(inlet, now)
        return True

    def _check_pace(self, inlet: Inlet, now: float) -> None:
        """Once: 16 kHz that was announced as 8 kHz comes twice as fast as real time; a recording may as well."""
        self._paced = True
        took = now - self._started
        if self._call.seconds > PACE * took:
            inlet.report.event("faster_than_real_time", speed=round(self._call.seconds / max(took, 0.1), 1))

    def messages_received(self, messages: list[bytes], now: float) -> None:
        self._heard = now
        receive, inlet = self._call.receive, self._inlet
        push = inlet.push if inlet is not None else None
        try:
            for data in messages:
                if self._closing:
                    return  # what the peer said before it knew is not heard
                if self._looking:
                    self._look(data)
                event = receive(data, now)
                if type(event) is Packet:
                    push(event)  # type: ignore[misc]  # no media gets past the table before Start
                else:
                    self._act(event)
                    push = self._inlet.push if self._inlet is not None else None  # it may have begun or ended
        except Broken as broken:
            self._break(broken)

    def late_messages(self, messages: list[bytes], since: float, until: float) -> None:
        for message, at in dated(messages, since, until):
            self.messages_received([message], at)

    def _act(self, event: object) -> None:
        """Anything but media."""
        self._look_at = 0.0
        if type(event) is Start:
            self._start(event)
        elif type(event) is Ignored:
            (self._inlet or self._host).report.dropped(event.reason, event.seconds)
        elif self._call.state == ENDED:
            self._end("stop")

    def _look(self, data: bytes) -> None:
        """For the secret: in all that is said up to Start, or in all of the call when its place is wanted."""
        self._visit.heard(data)
        self._looking = self._visit.looking
        self._tell_place()

    def _tell_place(self) -> None:
        if self._visit.watched and self._visit.place:
            (self._inlet or self._host).report.event("secret_found", place=self._visit.place)

    def closed(self, reason: str) -> None:
        self._visit.closed()
        if self._inlet is not None:
            if self._visit.watched and self._looking:
                self._inlet.report.event("secret_not_found")
            self._inlet.end(reason)
        elif not self._closing:
            self._host.report.event("closed_without_start", reason=reason)

    def _start(self, start: Start) -> None:
        asked = attributes(parse_qsl(self._query), "query")
        said = self._visit.clean(asked | start.attributes)
        objection = self._visit.objection(said)
        if objection:
            self._close(1008, objection)
            return
        try:
            self._inlet = self._host.accept(said)
            self._started = self._heard  # when it came: it may be read late, with seconds of audio behind it
        except Refused as refused:  # there was room when the connection was let in
            self._close(1013, refused.reason)

    def _end(self, reason: str) -> None:
        inlet, call = self._inlet, self._call
        if inlet is not None:
            # RingCX announces whole seconds, so one second is no difference yet.
            if call.announced and abs(call.announced - call.seconds) > max(1.0, 0.02 * call.announced):
                inlet.report.event("duration_differs", announced=call.announced, received=round(call.seconds, 2))
            inlet.end(reason)
        self._hang_up_at = self._host.now() + CLOSE_TIMEOUT  # RingCX may want to close first

    def _break(self, broken: Broken) -> None:
        (self._inlet or self._host).report.event("call_refused", reason=broken.reason, detail=broken.detail)
        if self._inlet is not None:
            self._inlet.end("peer_broke_protocol")
        self._close(broken.code, broken.detail)

    def _close(self, code: int, reason: str = "") -> None:
        self._closing = True
        if self._connection is not None:
            self._connection.close(code, reason)
