"""One call under examination: examines and records every message. The base of both transports' probes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.http11 import Request

from nodes.doctor.call_recorder import CallRecorder
from nodes.doctor.examination import Examination
from nodes.ringcx.credentials import Credentials

INTERRUPTED = "interrupted"
"""The end of a connection that was still open when the doctor was stopped."""


@dataclass(frozen=True)
class Setup:
    """The data and functions that all probes of a doctor share.

    ``now`` returns monotonic seconds, ``open_recorder`` opens a recording, if there is to be one, ``tell`` receives
    short progress texts for the user, and ``add_other_request`` descriptions of requests that were no calls.
    """

    now: Callable[[], float]
    credentials: Credentials | None
    open_recorder: Callable[[], CallRecorder | None]
    tell: Callable[[str], None]
    add_other_request: Callable[[str], None]


class Probe:
    """Collects one call's facts, and its recording. A connection without any message is no call, but a check."""

    def __init__(self, request: Request, client: str, setup: Setup, examination: Examination) -> None:
        self.examination = examination
        self.saved: Path | None = None
        """The recording, once it is complete."""
        self.over = False
        """Whether the call has ended."""
        self._request = request
        self._client = client
        self._setup = setup
        self._now = setup.now
        self._tell = setup.tell
        self._opened_at = self._heard_at = setup.now()
        self._recorder: CallRecorder | None = None
        self._begun = self._interrupted = self._audio_reported = False

    def take(self, data: bytes, now: float) -> None:
        """Take one message that arrived at ``now``."""
        if not self._begun:
            self._begin()
        now = max(now, self._opened_at)  # the first ones were read before their request was answered
        self._heard_at = now
        self.examination.receive(data, now)
        if self._recorder is not None:
            self._recorder.message(data, now)
        if self.examination.seconds and not self._audio_reported:
            self._audio_reported = True
            self._tell("audio flows")

    def _begin(self) -> None:
        self._begun = True
        try:
            self._recorder = self._setup.open_recorder()
        except OSError as error:
            self._tell(f"nothing is recorded: {error.filename}: {error.strerror}")
        if self._recorder is not None:
            self._recorder.begin(self._request, self._opened_at, self.examination.transport)
        self._tell("a call has begun")

    def interrupt(self) -> None:
        """Note that the doctor stops, so that the end that follows is not the peer's."""
        self._interrupted = True

    def conclude(self, reason: str, by: str, code: int | None = None, **facts: Any) -> None:
        """End the examination and the recording. ``by`` is the side that ended the call, ``code`` a close code."""
        if not self._begun:
            self._setup.add_other_request(f"a connection from {self._client} that ended without a message")
            return
        stopped, now = self.examination.last_stop, self._now()
        self.examination.end(
            {
                "by": by,
                "how": INTERRUPTED if self._interrupted else reason,
                "code": code,
                "seconds_after_last_message": round(now - self._heard_at, 3),
                "seconds_after_last_stop": round(now - stopped, 3) if stopped else None,
                **facts,
            }
        )
        if self._recorder is not None:
            self.saved = self._recorder.close(reason, code, now)
            if self._recorder.error:
                self._tell(self._recorder.error)
        self.over = True
        self._tell("the call has ended")
