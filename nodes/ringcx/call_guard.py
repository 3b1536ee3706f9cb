"""The rules of a call that hold over both transports: admission, time limits, pace, and how a call ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

from flowcore import Host, Inlet, Refused, Report
from nodes.ringcx.access_policy import Admission
from nodes.ringcx.call_attributes import limit
from nodes.ringcx.call_state import ProtocolError
from nodes.ringcx.capture.call_edge import NO_EDGE, CallEdge

CHECK_INTERVAL = 0.25
"""Seconds between two checks of the time limits of an ordinary call."""

PACE_AFTER = 2.0
"""Seconds of audio after which the pace of a call is compared with real time."""

PACE_TOLERANCE = 1.5
"""Multiple of real time above which the pace of a call is reported."""

PROTOCOL_ADVICE = "only a peer that speaks RingCX's protocol can call; `flowcore doctor` shows what a peer sends"

Cause = Literal["no_start", "not_allowed", "no_room", "draining", "operator", "flow_failed"]
"""Reasons to hang up, beside a `ProtocolError`."""


class CallGuard(ABC):
    """The common base of `CallPeer` and `GrpcPeer`: one call between its connection and its flow.

    ``start`` is the time in seconds until the call must start, ``idle`` the time without a message after which it is
    ended. ``admission`` is the access policy's record of it, and ``edge`` takes its messages for captures. Raises
    `Refused` when no call can be admitted now.
    """

    def __init__(
        self, host: Host, admission: Admission, *, start: float, idle: float, edge: CallEdge = NO_EDGE
    ) -> None:
        host.admit(admission.address)
        self._host = host
        self._admission = admission
        self._edge = edge
        self._start_timeout = start
        self._idle_timeout = idle
        self._inlet: Inlet | None = None
        self._opened_at = self._heard_at = host.now()
        self._started_at = 0.0
        self._pace_checked = False
        self._check_at = 0.0  # the next check of time limits
        self._ended = False
        self._ignored: dict[str, tuple[int, float]] = {}  # messages and their audio before the start, by reason

    @abstractmethod
    def _hang_up(self, cause: Cause | ProtocolError, text: str = "") -> None:
        """End the connection with this transport's code for ``cause``; ``text`` is for the remote end."""

    @abstractmethod
    def _end_call(self, reason: str) -> None:
        """End the flow, then the connection, in good order."""

    @property
    def over(self) -> bool:
        """Whether the call has ended, on either side."""
        return self._ended or (self._inlet is not None and self._inlet.ended)

    @property
    def _report(self) -> Report:
        return (self._inlet or self._host).report

    def _ignore(self, reason: str, seconds: float) -> None:
        """Count a message that is ignored, with ``seconds`` of audio: for its call, even before that has started."""
        if self._inlet is not None:
            self._inlet.report.dropped(reason, seconds)
        else:
            messages, audio = self._ignored.get(reason, (0, 0.0))
            self._ignored[reason] = messages + 1, audio + seconds

    def _report_ignored(self) -> None:
        for reason, (messages, audio) in self._ignored.items():
            self._report.dropped(reason, audio, messages)

    def _check_limits(self, now: float, seconds: float) -> None:
        """Enforce the time limits. ``seconds`` is the length of the audio so far."""
        inlet = self._inlet
        if inlet is None:
            self._check_start(now)
        elif inlet.ended:  # by its flow
            by_operator = inlet.reason == "operator"
            self._hang_up("operator" if by_operator else "draining" if self._host.draining else "flow_failed")
        elif now - self._heard_at >= self._idle_timeout:
            self._end_call("idle")
        elif not self._pace_checked and seconds >= PACE_AFTER:
            # Once: 16 kHz announced as 8 kHz comes twice as fast as real time; a recording may as well.
            self._pace_checked = True
            took = now - self._started_at
            if seconds > PACE_TOLERANCE * took:
                inlet.report.event("pace_exceeded", speed=round(seconds / max(took, 0.1), 1))

    def _check_start(self, now: float) -> None:
        if now - self._opened_at >= self._start_timeout:
            self._report_missing_start("no_start")
            self._hang_up("no_start")

    def _start_call(self, attributes: Mapping[str, str]) -> None:
        """Open the flow if the call is allowed and there is room."""
        self._admission.expecting = False
        attributes, cut = limit(self._admission.redact(attributes))
        objection = self._admission.objection(attributes)
        if objection:
            self._hang_up("not_allowed", objection)
            return
        try:
            self._inlet = self._host.accept(attributes, self._admission.address)
            self._started_at = self._heard_at  # its arrival: it may be read late, with seconds of audio behind it
            self._report_ignored()
            if cut:
                self._inlet.report.dropped("attributes_cut", 0.0, cut)
            self._edge.started(self._inlet, attributes)
        except Refused as refused:  # there was room when the connection was admitted
            self._hang_up("no_room", refused.reason)

    def _reject(self, error: ProtocolError) -> None:
        self._report.event(
            "protocol_violated",
            reason=error.reason,
            detail=error.detail,
            address=self._admission.address,
            advice=PROTOCOL_ADVICE,
        )
        if self._inlet is not None:
            self._inlet.end("peer_broke_protocol")
        self._hang_up(error, error.detail)

    def _connection_closed(self, reason: str, *, hung_up: bool, code: int | None = None, answer: str = "") -> None:
        """Release the admission and end the flow. ``hung_up`` says whether this end closed the connection.

        ``code`` is the peer's close code, ``answer`` what this end said at last.
        """
        self._ended = True
        self._admission.closed()
        if self._inlet is not None:
            self._inlet.end(reason)
        self._edge.close(self._inlet.reason if self._inlet else reason, self._host.now(), code, answer)
        if self._inlet is not None:
            return
        self._report_ignored()
        if not hung_up:
            self._report_missing_start(reason)

    def _report_missing_start(self, reason: str) -> None:
        self._host.report.event(
            "start_missing",
            reason=reason,
            detail=", ".join(f"{messages} {why}" for why, (messages, _) in self._ignored.items()),
            address=self._admission.address,
            advice=PROTOCOL_ADVICE,
        )
