"""The receiver's side of one RingCX WebSocket connection, without I/O: which messages may come when.

`CallState` is fed the messages of one connection. All of its transitions are in one table.
"""

from __future__ import annotations

import msgspec

from flowcore import BadMessage, Packet
from nodes.audio.g711 import RATE
from nodes.ringcx.hold_numbers import HoldNumbers
from nodes.ringcx.messages import (
    NOT_MEDIA,
    TRACKS,
    Connected,
    EmptyMedia,
    Event,
    Media,
    Start,
    Stop,
    Unknown,
    decode_media,
    parse_and_repair,
)

STOP_QUIET = 2.0
"""Seconds without media after the first Stop that end a call: the other party's Stop may never come."""

MAX_BAD_IN_A_ROW = 16
"""Bad messages in a row that mean that the peer does not speak this protocol."""

MIN_BAD_IN_ALL = 100
"""Bad messages in all that end a call if they are more than half of its messages: decision 13."""

_MULAW = {"", "audio/x-mulaw", "audio/mulaw", "audio/pcmu", "audio/basic", "mulaw", "x-mulaw", "pcmu", "ulaw"}


class ProtocolError(BadMessage):
    """The call cannot go on: close the connection with ``code``."""

    def __init__(self, code: int, reason: str, detail: str = "") -> None:
        self.code = code
        super().__init__(reason, detail)


class Ignored(msgspec.Struct, frozen=True):
    """A message that changed nothing. ``reason`` is the name to count it under, ``seconds`` the audio in it."""

    reason: str
    seconds: float = 0.0


Result = Packet | Start | Connected | Stop | Ignored


class Repaired(msgspec.Struct, frozen=True):
    """A message that was understood although it has errors; ``reasons`` are their names, to count them under."""

    result: Result
    reasons: tuple[str, ...]


WAITING, OPEN, STOPPING, ENDED = "waiting", "open", "stopping", "ended"

# state: {event: (next state, the reason to ignore the event)}
_TABLE: dict[str, dict[type[msgspec.Struct], tuple[str, str]]] = {
    WAITING: {
        Connected: (WAITING, ""),
        Start: (OPEN, ""),
        Media: (WAITING, "media_before_start"),
        EmptyMedia: (WAITING, "empty_media"),
        Stop: (WAITING, "stop_before_start"),
        Unknown: (WAITING, "unknown_event"),
    },
    OPEN: {
        Connected: (OPEN, "late_connected"),
        Start: (OPEN, "second_start"),
        Media: (OPEN, ""),
        EmptyMedia: (OPEN, "empty_media"),
        Stop: (STOPPING, ""),  # of one party: the other may still speak
        Unknown: (OPEN, "unknown_event"),
    },
    STOPPING: {
        Connected: (STOPPING, "late_connected"),
        Start: (STOPPING, "second_start"),
        Media: (STOPPING, ""),
        EmptyMedia: (STOPPING, "empty_media"),
        Stop: (ENDED, ""),
        Unknown: (STOPPING, "unknown_event"),
    },
    ENDED: {
        Connected: (ENDED, "after_end"),
        Start: (ENDED, "after_end"),
        Media: (ENDED, "after_end"),
        EmptyMedia: (ENDED, "after_end"),
        Stop: (ENDED, "after_end"),
        Unknown: (ENDED, "after_end"),
    },
}


class CallState:
    """The state of one connection: `receive` turns messages into packets and events.

    ``state`` is ``waiting`` until Start, then ``open``, ``stopping`` after the first Stop, and ``ended``.
    """

    def __init__(self) -> None:
        self.state = WAITING
        self.announced: float | None = None
        """The longest duration that a Stop announced, presumably in seconds."""
        self._good = 0  # messages so far
        self._bad = 0
        self._bad_in_a_row = 0
        self._good_before = 0  # good messages when that row began
        self._media_at = 0.0
        self._bytes = dict.fromkeys(TRACKS.values(), 0)
        self._holds: dict[str, HoldNumbers] = {}  # of the tracks that were on hold by empty media
        self._direct = False  # media passes the table with its own number

    @property
    def seconds(self) -> float:
        """The length of the longer party's audio so far."""
        return max(self._bytes.values()) / RATE

    def receive(self, text: bytes, now: float) -> Result | Repaired:
        """Process one message that arrived at ``now`` (monotonic seconds).

        The caller acts on a `Packet` and a `Start`. Raises `ProtocolError` when the call cannot go on.
        """
        try:
            media = decode_media(text)
        except NOT_MEDIA:
            return self._receive_other(text, now)
        if not self._direct:
            return self._receive_other(text, now)
        # Media of an open call, inlined from the table: 100 times a second for each call.
        self._good += 1
        self._media_at = now
        track = TRACKS[media.perspective]
        self._bytes[track] += len(media.data)
        return Packet(track, media.seq, media.data, now)

    def _receive_other(self, text: bytes, now: float) -> Result | Repaired:
        try:
            event, repairs = parse_and_repair(text)
        except BadMessage as bad:
            self._count_bad()
            return Ignored(f"bad_message:{bad.reason}")
        self._good += 1
        result = self._apply(event, now)
        return Repaired(result, tuple(f"repaired:{name}" for name in repairs)) if repairs else result

    def _apply(self, event: Event, now: float) -> Result:
        self.state, ignored = _TABLE[self.state][type(event)]
        if type(event) is EmptyMedia:
            self._media_at = now  # the other party of a call that stops may be on hold
            self._holds.setdefault(TRACKS[event.perspective], HoldNumbers()).empty(event.seq)
        self._direct = not self._holds and self.state in (OPEN, STOPPING)
        if ignored:
            return Ignored(ignored, len(event.data) / RATE if type(event) is Media else 0.0)
        if type(event) is Media:
            track = TRACKS[event.perspective]
            self._media_at = now
            self._bytes[track] += len(event.data)
            hold = self._holds.get(track)
            return Packet(track, hold.audio(event.seq) if hold else event.seq, event.data, now)
        if type(event) is Start:
            _check_format(event)
        elif type(event) is Stop:
            self._media_at = now
            self.announced = max(event.duration or 0.0, self.announced or 0.0) or None
        return event  # type: ignore[return-value]  # no Unknown gets here: the table ignores it in every state

    def _count_bad(self) -> None:
        self._bad += 1
        self._bad_in_a_row = self._bad_in_a_row + 1 if self._good == self._good_before else 1
        self._good_before = self._good
        if self._bad_in_a_row >= MAX_BAD_IN_A_ROW:
            raise ProtocolError(1008, "too_many_bad_messages", f"{MAX_BAD_IN_A_ROW} invalid messages in a row")
        if self._bad >= MIN_BAD_IN_ALL and self._bad > self._good:
            raise ProtocolError(1008, "too_many_bad_messages", "most messages are invalid")

    def hold(self, now: float) -> None:
        """Note that nothing was read until ``now``, so that the pause does not count as silence of the peer."""
        self._media_at = now

    def poll(self, now: float) -> str:
        """Return the state at ``now``. A call whose second Stop is missing ends after `STOP_QUIET`."""
        if self.state == STOPPING and now - self._media_at >= STOP_QUIET:
            self.state = ENDED
            self._direct = False
        return self.state


def _check_format(start: Start) -> None:
    """Refuse other formats, which would play as noise or at the wrong speed. Raises `ProtocolError`."""
    encoding = start.encoding.partition(";")[0].strip().lower()
    if encoding not in _MULAW or start.rate not in (str(RATE), f"{RATE}.0"):
        raise ProtocolError(1003, "unsupported_format", f"only audio/x-mulaw at {RATE} Hz is taken")
