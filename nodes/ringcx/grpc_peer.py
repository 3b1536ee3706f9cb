"""Between a gRPC stream and its flow: what RingCX tells becomes packets, and either's end becomes the other's."""

from __future__ import annotations

from typing import Literal

from flowcore import Host, Inlet, Packet, Refused
from nodes.ringcx.access_policy import Admission
from nodes.ringcx.call_peer import LOOK, PACE, PACE_AFTER
from nodes.ringcx.grpc_protocol import BotTrack, Dialog, Note, Result
from nodes.ringcx.protocol import Broken, Ignored, Start

Code = Literal["INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "PERMISSION_DENIED", "UNAVAILABLE", "INTERNAL", "OK"]
"""gRPC's names for how a stream ended; RingCX documents none but UNAUTHENTICATED, before it began."""

BURST = 2.0
"""Seconds of its speed that a call may save up, for what a stall of the network or of this process held back."""


class GrpcPeer:
    """One stream of RingCX, from its first message to its last.

    ``start`` is the time in seconds that it has to say DialogInit, ``idle`` the time without a message after which it
    is given up, ``speed`` how much faster than real time it may send. ``visit`` is what the doorman knows of it.
    Raises `Refused` when no call would be let in now.
    """

    def __init__(
        self, host: Host, visit: Admission, *, start: float, idle: float, speed: float, bot: BotTrack = "agent"
    ) -> None:
        host.admit()
        self.verdict: tuple[Code, str] | None = None
        """How to end the stream, once it is not to be read any more, and a text for the peer."""
        self._host = host
        self._visit = visit
        self._start_limit = start
        self._idle_limit = idle
        self._speed = speed
        self._dialog = Dialog(bot)
        self._inlet: Inlet | None = None
        self._opened = self._heard = self._earned = host.now()
        self._credit = BURST * speed
        self._read = 0.0  # seconds of audio, as of the last look at the credit
        self._began = 0.0
        self._paced = False
        self._look_at = 0.0
        self._ended = False
        visit.opened()

    @property
    def over(self) -> bool:
        """Whether the call has ended, on whichever side."""
        return self._ended or (self._inlet is not None and self._inlet.ended)

    @property
    def speaking(self) -> bool:
        """Whether somebody has not said that he stops."""
        return self._dialog.speaking

    def wants(self, now: float) -> bool:
        """Whether to read on: not while the flow asks to wait, nor while the peer is far too fast."""
        inlet = self._inlet
        if inlet is not None and inlet.paused:
            self._heard = now  # the silence is ours
            return False
        if self._credit <= 0:
            self._credit = min(self._credit + self._speed * (now - self._earned), BURST * self._speed)
            self._earned = now
        return self._credit > 0

    def poll(self, now: float) -> None:
        """Once a slot: time limits, and the flow's own end; sets ``verdict``."""
        inlet = self._inlet
        if self.verdict or (now < self._look_at and not (inlet is not None and inlet.ended)):
            return
        self._look_at = now + LOOK
        if inlet is None:
            if not self._dialog.announced and now - self._opened >= self._start_limit:
                self.verdict = "DEADLINE_EXCEEDED", "no DialogInit came"
            elif now - self._heard >= self._idle_limit:
                self.verdict = "OK", ""
        elif inlet.ended:  # not by us
            stopping = self._host.draining
            self.verdict = ("UNAVAILABLE", "the receiver stops") if stopping else ("INTERNAL", "the receiver failed")
        elif now - self._heard >= self._idle_limit:
            inlet.end("idle")
            self.verdict = "OK", ""
        elif not self._paced and self._dialog.seconds >= PACE_AFTER:
            self._check_pace(inlet, now)

    def receive(self, data: bytes, now: float) -> None:
        """One message."""
        self._heard = now
        try:
            for result in self._dialog.receive(data, now):
                self._act(result)
                if self.verdict:
                    return
        except Broken as broken:
            (self._inlet or self._host).report.event("call_refused", reason=broken.reason, detail=broken.detail)
            if self._inlet is not None:
                self._inlet.end("peer_broke_protocol")
            self.verdict = "INVALID_ARGUMENT", broken.detail
        self._credit -= self._dialog.seconds - self._read
        self._read = self._dialog.seconds

    def end(self, reason: str) -> None:
        """The stream is over. Called once, whoever ended it."""
        self._ended = True
        self._visit.closed()
        if self.verdict is None:
            for result in self._dialog.end(self._host.now()):
                self._act(result)
        if self._inlet is not None:
            self._inlet.end(reason)
        elif self.verdict is None:
            self._host.report.event("closed_without_start", reason=reason)

    def _act(self, result: Result) -> None:
        report = (self._inlet or self._host).report
        if type(result) is Packet:
            if self._inlet is not None:  # a dialog gives no packet before its Start, which may have been refused
                self._inlet.push(result)
        elif type(result) is Start:
            self._start(result)
        elif type(result) is Ignored:
            report.dropped(result.reason, result.seconds)
        elif type(result) is Note:
            report.event(result.what, **result.data)

    def _start(self, start: Start) -> None:
        said = self._visit.clean(start.attributes)
        objection = self._visit.objection(said)
        if objection:
            self.verdict = "PERMISSION_DENIED", objection
            return
        try:
            self._inlet = self._host.accept(said)
        except Refused as refused:  # there was room when the stream was let in
            self.verdict = "UNAVAILABLE", refused.reason
            return
        self._began = self._host.now()
        if self._visit.watched:
            report, place = self._inlet.report, self._visit.place
            report.event("secret_found", place=place) if place else report.event("secret_not_found")

    def _check_pace(self, inlet: Inlet, now: float) -> None:
        """Once: 16 kHz that was announced as 8 kHz comes twice as fast as real time; a recording may as well."""
        self._paced = True
        took = now - self._began
        if self._dialog.seconds > PACE * took:
            inlet.report.event("faster_than_real_time", speed=round(self._dialog.seconds / max(took, 0.1), 1))
