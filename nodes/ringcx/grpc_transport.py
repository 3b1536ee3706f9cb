"""A call over gRPC, as RingCX makes it or worse."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from flowcore import CannotStart, Packet, tcp_proxy
from nodes.net.grpc_client import Stream, host_and_port
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.call_transport import CallTransport
from nodes.ringcx.grpc_protocol import METHOD, Teller
from nodes.ringcx.protocol import RATE

LATE = 0.5
"""Seconds of media of a party that come before all that announces them."""

FLUSH_TIMEOUT = 2.0
"""Seconds that what was said has to get onto the wire before it freezes."""

WRAP = (1 << 32) - 2
"""Where a curt sender begins to count: numbers have 32 bits."""


class GrpcTransport(CallTransport):
    """DialogInit, a segment for each party from its first media on, their Stops, and the end of the stream.

    For ``said`` see `nodes.ringcx.grpc_protocol.Teller`, for the rest `nodes.net.grpc_client.Stream`.
    """

    def __init__(self, url: str, said: Mapping[str, str], *, authorization: str = "", ca: Path | None = None) -> None:
        super().__init__(said)
        self.garbage = tuple(_GARBAGE)
        self._url = url
        self._authorization = authorization
        self._ca = ca
        self._teller: Teller
        self._stream: Stream | None = None
        self._proxy: tcp_proxy.Proxy | None = None
        self._needs_proxy = False  # for faults of the connection
        self._curt = False
        self._late = 0.0  # seconds of media before the announcement
        self._announced = False
        self._seconds: dict[str, float] = {}  # what each party said in this session
        self._pending: list[str] = []  # garbage that has to wait for somebody to speak
        self._last = b""  # media

    def begin(self) -> None:
        self._teller = Teller(self.said)
        self._seconds, self._announced = {}, False
        via = ""
        if self._needs_proxy:
            self._proxy = tcp_proxy.Proxy(host_and_port(self._url))
            via = "{}:{}".format(*self._proxy.address)
        try:
            self._stream = Stream(self._url, METHOD, authorization=self._authorization, ca=self._ca, via=via)
        except CannotStart:
            self.close()
            raise
        if not self._late:
            self._announce()

    def media(self, packet: Packet) -> None:
        track = packet.track
        if track not in self._seconds:
            self._seconds[track] = 0.0
            if self._announced:
                self._say(self._teller.segment_start(track))
        seq = None
        if self._curt:  # counts samples
            seq = (WRAP + round(self._seconds[track] * RATE)) % (1 << 32)
        self._seconds[track] += packet.seconds
        self._last = self._teller.media(track, packet.data, seq)
        self._say(self._last)
        if not self._announced and max(self._seconds.values()) >= self._late:
            self._announce()
        elif self._announced and self._pending:
            self._say_pending()

    def stops(self, count: int) -> None:
        if not self._announced:
            self._announce()
        for track in list(self._seconds)[:count]:
            self._say(self._teller.segment_stop(track))

    def hang_up(self) -> None:
        if self._stream is not None:
            self._stream.finish()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None

    def expect(self, kinds: Collection[str]) -> None:
        self._needs_proxy = "slow" in kinds or "half_open" in kinds
        self._curt = "dialect" in kinds

    def begin_without_start(self) -> None:
        """Media first, and then DialogInit and what announces the parties."""
        self._late = LATE
        self.begin()

    def hold(self, seconds: float, told: bool) -> None:
        parties = list(self._seconds) if told and self._announced else []
        for party in parties:
            self._say(self._teller.info(party, "hold"))
        time.sleep(seconds)
        for party in parties:
            self._say(self._teller.info(party, "unhold"))

    def say_garbage(self, name: str) -> None:
        self._pending.append(name)
        if self._announced and self._seconds:
            self._say_pending()

    def slow_down(self, seconds: float) -> None:
        if self._proxy is not None:
            self._proxy.slow_down(seconds)

    def fall_silent(self) -> None:
        """The connection is frozen, with what is still on its way."""
        if self._stream is not None and self._proxy is not None:
            self._stream.flush(FLUSH_TIMEOUT)
            self._proxy.freeze()

    def vanish(self) -> None:
        if self._proxy is not None:
            self._proxy.reset()

    def end_without_stops(self, stops: int) -> None:
        """As over WebSocket, but the stream of one who says no Stop at all is cancelled."""
        if stops or self._stream is None:
            super().end_without_stops(stops)
            return
        if not self._announced:
            self._announce()
        self._stream.flush(FLUSH_TIMEOUT)
        self._stream.cancel()

    def _announce(self) -> None:
        self._announced, self._late = True, 0.0
        self._say(self._teller.dialog_init())
        for track in self._seconds:
            self._say(self._teller.segment_start(track))

    def _say_pending(self) -> None:
        party = next(iter(self._seconds))
        for name in self._pending:
            if self._stream is not None:
                self._stream.send(_GARBAGE[name](party, self._last))
        self._pending.clear()

    def _say(self, message: bytes) -> None:
        if self._stream is not None:
            self._stream.send(curt(message) if self._curt else message)


def curt(message: bytes) -> bytes:
    """A message without all that may be left out, or that a receiver could do without."""
    event = pb.StreamEvent.FromString(message)
    kind = event.WhichOneof("event")
    if kind == "dialog_init":
        event.dialog_init.ClearField("account")
        event.dialog_init.dialog.ClearField("type")
    else:
        event.ClearField("session_id")
    if kind == "segment_start":
        event.segment_start.ClearField("audio_format")
        event.segment_start.participant.ClearField("id")
    elif kind == "segment_media":
        event.segment_media.audio_content.ClearField("duration")
    return event.SerializeToString()


def _start_of(name: str) -> bytes:
    """A participant of no known type, in 16 bits."""
    form = pb.AudioFormat(codec=pb.L16, rate=RATE, ptime=100)
    start = pb.SegmentStartEvent(segment_id=name, participant=pb.Participant(id=name), audio_format=form)
    return pb.StreamEvent(segment_start=start).SerializeToString()


Nonsense = Callable[[str, bytes], bytes]

_ANYBODY = Teller({})

_GARBAGE: Mapping[str, Nonsense] = {
    "nothing": lambda party, last: b"",
    "a text": lambda party, last: b"hello",
    "a field without its end": lambda party, last: b"\x22\xff\xff\xff\xff\x0f",
    "half a message": lambda party, last: last[: len(last) // 2],
    "an event of another version": lambda party, last: b"\xfa\x01\x04\x0a\x02hi",
    "a second dialog": lambda party, last: Teller({"call_id": "another", "session_id": "9"}).dialog_init(),
    "a second start, in a format that is not taken": lambda party, last: _ANYBODY.segment_start(party, pb.OPUS),
    "media twice": lambda party, last: last,
    "media of nobody": lambda party, last: _ANYBODY.media("nobody", b"\xd5" * 20, 1),
    "media without sound": lambda party, last: _ANYBODY.media(party, b"", 1),
    "one more who says nothing": lambda party, last: _start_of("other"),
    "half a sample of one more": lambda party, last: _ANYBODY.media("other", b"\x01\x02\x03", 1),
    "a stop of nobody": lambda party, last: _ANYBODY.segment_stop("nobody"),
    "news that mean nothing": lambda party, last: _ANYBODY.info("nobody", "x" * 2000),
}
"""Bad, unknown or unexpected messages, with a party that speaks and the last media."""
