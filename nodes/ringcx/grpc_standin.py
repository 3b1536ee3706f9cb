"""RingCX's gRPC streams without a connection, for ``flowcore test``: the messages of a call, and the listener's end.

The messages pass through the listener's own code, from the parser on; only HTTP/2 is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowcore import Host
from nodes.audio.g711 import RATE
from nodes.ringcx.dialog_sender import CHUNK, DialogSender
from nodes.ringcx.grpc_peer import GrpcPeer
from nodes.ringcx.standin import END, Voices, admit_all, cut, length

__all__ = ["END", "RATE", "Connection", "messages"]

END_OF_STREAM = b"\0"
"""Stands for the end of the sender's stream among the messages; protobuf has no field 0."""


def messages(attributes: Mapping[str, str], voices: Voices) -> Iterator[tuple[float, str, bytes]]:
    """Yield the messages of one call, each with the second of the call at which it is sent, and its track or ""."""
    sender = DialogSender(attributes)
    yield 0.0, "", sender.dialog_init()
    for track in voices:
        yield 0.0, "", sender.segment_start(track)
    for sent, track, data in cut(voices, CHUNK):
        yield sent, track, sender.media(track, data)
    for track in voices:
        yield length(voices) / RATE, "", sender.segment_stop(track)
    yield length(voices) / RATE, "", END_OF_STREAM


class Connection:
    """The listener's end of one stream, `GrpcPeer`, without the stream. A `flowcore.scenario.standin.Connection`."""

    def __init__(self, host: Host, config: Any) -> None:
        admission = admit_all(host)
        self._host = host
        self._closed = False
        self._peer = GrpcPeer(
            host, admission, start=config.start, idle=config.idle, speed=config.max_speed, bot=config.bot
        )

    @property
    def over(self) -> bool:
        return self._closed or self._peer.over

    @property
    def paused(self) -> bool:
        return not self._closed and not self._peer.wants_read(self._host.now())

    def receive(self, data: Any, now: float) -> None:
        if data == END_OF_STREAM:
            self.end(END)
        elif not self._closed:
            self._peer.receive(data, now)
            self._end_if_decided()

    def poll(self, now: float) -> None:
        if not self._closed:
            self._peer.poll(now)
            self._end_if_decided()

    def end(self, reason: str) -> None:
        if not self._closed:
            self._closed = True
            self._peer.end(reason)

    def _end_if_decided(self) -> None:
        if self._peer.status:
            self.end("cancelled")
