"""A call over gRPC as RingCX makes it, with optional faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from flowcore import Packet, tcp_proxy
from nodes.audio.g711 import RATE
from nodes.net.grpc_client import Stream, host_and_port
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.call_transport import CallTransport
from nodes.ringcx.dialog_sender import METHOD, DialogSender

MEDIA_BEFORE_START = 0.5
"""Seconds of a party's media that are sent before DialogInit and SegmentStart by a call with ``no_start``."""

FLUSH_TIMEOUT = 2.0
"""Seconds that queued messages have to be sent before the connection freezes."""

FIRST_SEQUENCE = (1 << 32) - 2
"""The first sequence number of the minimal dialect, so that the 32-bit numbers wrap."""


class GrpcTransport(CallTransport):
    """Sends DialogInit, a segment for each party from its first media on, their Stops, and the end of the stream.

    See `nodes.ringcx.dialog_sender.DialogSender` for ``attributes``, `nodes.net.grpc_client.Stream` for the rest.
    """

    def __init__(
        self, url: str, attributes: Mapping[str, str], *, authorization: str = "", ca: Path | None = None
    ) -> None:
        self.attributes = dict(attributes)
        self.garbage = tuple(_GARBAGE)
        self._url = url
        self._authorization = authorization
        self._ca = ca
        self._sender: DialogSender
        self._stream: Stream
        self._proxy: tcp_proxy.Proxy
        self._opened = ExitStack()  # the stream, and its proxy
        self._needs_proxy = False  # for faults of the connection
        self._minimal = False
        self._late = 0.0  # seconds of media before the announcement
        self._announced = False
        self._seconds: dict[str, float] = {}  # audio of each party in this session
        self._pending: list[str] = []  # garbage that waits for the first media
        self._last = b""  # the latest media message

    def begin(self) -> None:
        self._sender = DialogSender(self.attributes)
        self._seconds, self._announced = {}, False
        with ExitStack() as stack:  # closes the proxy when there is no connection
            via = ""
            if self._needs_proxy:
                self._proxy = stack.enter_context(tcp_proxy.Proxy(host_and_port(self._url)))
                via = "{}:{}".format(*self._proxy.address)
            stream = Stream(self._url, METHOD, authorization=self._authorization, ca=self._ca, via=via)
            self._stream = stack.enter_context(closing(stream))
            self._opened = stack.pop_all()
        if not self._late:
            self._announce()

    def media(self, packet: Packet) -> None:
        track = packet.track
        if track not in self._seconds:
            self._seconds[track] = 0.0
            if self._announced:
                self._send(self._sender.segment_start(track))
        seq = None
        if self._minimal:  # counts samples
            seq = (FIRST_SEQUENCE + round(self._seconds[track] * RATE)) % (1 << 32)
        self._seconds[track] += packet.seconds
        self._last = self._sender.media(track, packet.data, seq)
        self._send(self._last)
        if not self._announced and max(self._seconds.values()) >= self._late:
            self._announce()
        elif self._announced and self._pending:
            self._send_pending()

    def end(self, stops: int = 2) -> None:
        """End the call as over WebSocket; a call without any Stop cancels its stream instead."""
        if not self._announced:
            self._announce()
        for track in list(self._seconds)[:stops]:
            self._send(self._sender.segment_stop(track))
        if stops:
            self._stream.finish()
        else:
            self._stream.flush(FLUSH_TIMEOUT)
            self._stream.cancel()

    def close(self) -> None:
        self._opened.close()

    def prepare(self, kinds: Collection[str]) -> None:
        self._needs_proxy = "slow" in kinds or "half_open" in kinds
        self._minimal = "dialect" in kinds

    def begin_without_start(self) -> None:
        """Send media first, then DialogInit and the SegmentStarts."""
        self._late = MEDIA_BEFORE_START
        self.begin()

    def hold(self, seconds: float, announced: bool) -> None:
        parties = list(self._seconds) if announced and self._announced else []
        for party in parties:
            self._send(self._sender.info(party, "hold"))
        time.sleep(seconds)
        for party in parties:
            self._send(self._sender.info(party, "unhold"))

    def send_garbage(self, name: str) -> None:
        self._pending.append(name)
        if self._announced and self._seconds:
            self._send_pending()

    def slow_down(self, seconds: float) -> None:
        self._proxy.slow_down(seconds)

    def fall_silent(self) -> None:
        """Freeze the connection, with the bytes that are still on their way."""
        self._stream.flush(FLUSH_TIMEOUT)
        self._proxy.freeze()

    def reset(self) -> None:
        self._proxy.reset()

    def _announce(self) -> None:
        self._announced, self._late = True, 0.0
        self._send(self._sender.dialog_init())
        for track in self._seconds:
            self._send(self._sender.segment_start(track))

    def _send_pending(self) -> None:
        party = next(iter(self._seconds))
        for name in self._pending:
            self._stream.send(_GARBAGE[name](party, self._last))
        self._pending.clear()

    def _send(self, message: bytes) -> None:
        self._stream.send(minimal(message) if self._minimal else message)


def minimal(message: bytes) -> bytes:
    """Return a message without its optional fields and those that a receiver can do without."""
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


_SENDER = DialogSender({})

_GARBAGE: Mapping[str, Callable[[str, bytes], bytes]] = {
    "empty message": lambda party, last: b"",
    "plain text": lambda party, last: b"hello",
    "truncated field": lambda party, last: b"\x22\xff\xff\xff\xff\x0f",
    "half a message": lambda party, last: last[: len(last) // 2],
    "event of another version": lambda party, last: b"\xfa\x01\x04\x0a\x02hi",
    "second dialog": lambda party, last: DialogSender({"call_id": "another", "session_id": "9"}).dialog_init(),
    "second start, in an unsupported format": lambda party, last: _SENDER.segment_start(party, pb.OPUS),
    "repeated media": lambda party, last: last,
    "media of an unknown segment": lambda party, last: _SENDER.media("unknown", b"\xd5" * 20, 1),
    "media without audio": lambda party, last: _SENDER.media(party, b"", 1),
    "start of a silent participant": lambda party, last: _SENDER.segment_start("other", pb.L16, participant=0),
    "half a sample": lambda party, last: _SENDER.media("other", b"\x01\x02\x03", 1),
    "stop of an unknown segment": lambda party, last: _SENDER.segment_stop("unknown"),
    "info of an unknown segment": lambda party, last: _SENDER.info("unknown", "x" * 2000),
}
"""Invalid, unknown or unexpected messages, each made from an active party and the latest media."""
