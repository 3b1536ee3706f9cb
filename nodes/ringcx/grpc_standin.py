"""RingCX's gRPC streams without a connection, for ``flowcore test``: the messages of a call, and the listener's end.

What comes in goes the listener's own way, from the protocol's parser on; only HTTP/2 is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import Host
from nodes.audio import g711
from nodes.net.proxy_trust import normalize_address
from nodes.ringcx.access_policy import AccessPolicy, Admission, Rules
from nodes.ringcx.grpc_peer import GrpcPeer
from nodes.ringcx.grpc_protocol import CHUNK, Teller
from nodes.ringcx.protocol import RATE

__all__ = ["END", "RATE", "Connection", "messages"]

END = "stop"
"""Why a call ends in which nothing went wrong."""


def messages(
    attributes: Mapping[str, str], voices: Mapping[str, NDArray[np.int16]]
) -> Iterator[tuple[float, str, bytes]]:
    """The messages of one call, with the second of the call in which each is sent, and its party (or nothing)."""
    teller = Teller(attributes)
    yield 0.0, "", teller.dialog_init()
    for track in voices:
        yield 0.0, "", teller.segment_start(track)
    longest = max((len(samples) for samples in voices.values()), default=0)
    for at in range(0, longest, CHUNK):
        for track, samples in voices.items():
            if at < len(samples):
                sent = min(at + CHUNK, longest) / RATE  # a chunk is sent when its last sample was spoken
                yield sent, track, teller.media(track, g711.encode(samples[at : at + CHUNK]).tobytes())
    for track in voices:
        yield longest / RATE, "", teller.segment_stop(track)
    yield longest / RATE, "", HUNG_UP


HUNG_UP = b""
"""In the place of a message, of which none is empty: the sender ends its stream."""


class Connection:
    """The listener's own end of one stream, `GrpcPeer`, without the stream."""

    def __init__(self, host: Host, config: Any) -> None:
        visit = Admission(
            AccessPolicy(Rules(), host.report, host.connections), normalize_address("127.0.0.1")
        )  # nobody knocks here
        self._host = host
        self._closed = False
        self._peer = GrpcPeer(host, visit, start=config.start, idle=config.idle, speed=config.max_speed, bot=config.bot)

    @property
    def over(self) -> bool:
        """Whether the call has ended, on whichever side."""
        return self._closed or self._peer.over

    @property
    def paused(self) -> bool:
        """Whether the flow asks not to read on."""
        return not self._closed and not self._peer.wants(self._host.now())

    def receive(self, data: Any, now: float) -> None:
        """One message."""
        if data == HUNG_UP:
            self.end(END)
        elif not self._closed:
            self._peer.receive(data, now)
            self._obey()

    def poll(self, now: float) -> None:
        """Once a slot."""
        if not self._closed:
            self._peer.poll(now)
            self._obey()

    def end(self, reason: str) -> None:
        """The stream is gone."""
        if not self._closed:
            self._closed = True
            self._peer.end(reason)

    def _obey(self) -> None:
        if self._peer.verdict:
            self.end("cancelled")
