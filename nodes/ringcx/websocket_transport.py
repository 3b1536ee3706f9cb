"""A call over WebSocket, as RingCX makes it or worse."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from flowcore import Packet
from nodes.ringcx.call_transport import CallTransport
from nodes.ringcx.protocol import RATE, Caller, Dialect
from nodes.ringcx.websocket_client import Line

SLOWLY = 0.03
"""Seconds that a slow message takes, in which a call in real time sends three; and its fragments."""
FRAGMENTS = 3


class WebSocketTransport(CallTransport):
    """Connected, Start, the media as it comes, a Stop for each party, and then it hangs up.

    For ``said`` see `nodes.ringcx.protocol.Caller`.
    """

    garbage = (
        "hello",
        "",
        "{",
        "null",
        "[" * 2000,
        '{"event": 7}',
        '{"event": "Media"}',
        '{"event": "Media", "perspective": "Nobody", "sequenceId": "1", "media": "AAAA"}',
        '{"event": "Media", "perspective": "Participant", "sequenceId": "one", "media": "AAAA"}',
        '{"event": "Media", "perspective": "Participant", "sequenceId": "1", "media": "!!!"}',
        '{"event": "Media", "perspective": "Conference", "sequenceId": "1", "media": ""}',
        '{"event": "DTMF", "digits": "1234"}',
        '{"event": "Start", "metadata": {"callId": "another"}}',
        '{"event": "Connected"}',
    )
    """Bad, unknown or unexpected messages."""

    def __init__(self, url: str, said: Mapping[str, str], dialect: Dialect) -> None:
        super().__init__(said)
        self._url = url
        self._dialect: Dialect = dialect
        self._line: Line | None = None
        self._caller = Caller(self.said, dialect)
        self._seconds: dict[str, float] = {}  # what each party said in this session
        self._slow = 0  # messages still to be sent slowly

    def begin(self) -> None:
        self._seconds = {"agent": 0.0, "customer": 0.0}
        self._caller = Caller(self.said, self._dialect)
        self._line = Line(self._caller.asks(self._url))
        self._line.say(self._caller.connected())
        self._line.say(self._caller.start())

    def media(self, packet: Packet) -> None:
        self._seconds[packet.track] += len(packet.data) / RATE
        self._say(self._caller.media(packet.track, packet.data, packet.seq))

    def stops(self, count: int) -> None:
        ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for seconds in list(self._seconds.values())[:count]:
            self._say(self._caller.stop(round(seconds), ended))

    def hang_up(self) -> None:
        if self._line is not None:
            self._line.hang_up()

    def close(self) -> None:
        if self._line is not None:
            self._line.close()

    def expect(self, kinds: Collection[str]) -> None:
        if "dialect" in kinds:
            self._dialect = "upper"

    def begin_without_start(self) -> None:
        """Before the call a connection that says Stop and never Start."""
        caller = Caller(self.said, self._dialect)
        line = Line(caller.asks(self._url))
        try:
            line.say(caller.connected())
            line.say(caller.stop(0, "2021-01-14T00:00:00Z"))
            line.hang_up()
        finally:
            line.close()
        self.begin()

    def hold(self, seconds: float, told: bool) -> None:  # there are no words for it
        time.sleep(seconds)

    def say_garbage(self, name: str) -> None:
        self._say(name.encode())

    def slow_down(self, seconds: float) -> None:
        self._slow = round(seconds / SLOWLY)

    def fall_silent(self) -> None:
        """The library goes on answering pings."""

    def vanish(self) -> None:
        if self._line is not None:
            self._line.vanish()

    def _say(self, message: bytes) -> None:
        if self._line is None:
            return
        if self._slow:
            self._slow -= 1
            self._line.say_slowly(message, FRAGMENTS, SLOWLY)
        else:
            self._line.say(message)
