"""RingCX calls without a socket, for ``flowcore test``: the messages of a call, and the listener's end of them.

What comes in goes through the protocol's parser and state table, as in the listener; only WebSocket and TCP are left
out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import Host, Inlet, Packet
from nodes.protocols import g711
from nodes.protocols.ringcx import ENDED, RATE, Broken, Call, Caller, Ignored, Start

CHUNK = 160
"""Samples in a message: 20 ms."""

END = "stop"
"""Why a call ends in which nothing went wrong."""


def messages(
    attributes: Mapping[str, str], voices: Mapping[str, NDArray[np.int16]]
) -> Iterator[tuple[float, str, bytes]]:
    """The messages of one call, with the second of the call in which each is sent, and its party (or nothing)."""
    caller = Caller(attributes)
    yield 0.0, "", caller.connected()
    yield 0.0, "", caller.start()
    longest = max((len(samples) for samples in voices.values()), default=0)
    for at in range(0, longest, CHUNK):
        for track, samples in voices.items():
            if at < len(samples):
                sent = min(at + CHUNK, longest) / RATE  # a packet is sent when its last sample was spoken
                yield sent, track, caller.media(track, g711.encode(samples[at : at + CHUNK]).tobytes())
    for _ in range(2):
        yield longest / RATE, "", caller.stop(round(longest / RATE), "2026-01-02T03:04:05Z")


class Line:
    """The listener's end of one connection."""

    def __init__(self, host: Host) -> None:
        self.over = False
        self._host = host
        self._call = Call()
        self._inlet: Inlet | None = None

    @property
    def paused(self) -> bool:
        """Whether the flow asks not to read on."""
        return self._inlet is not None and self._inlet.paused and not self._inlet.ended

    def receive(self, data: Any, now: float) -> None:
        """One message."""
        report = (self._inlet or self._host).report
        try:
            event = self._call.receive(data, now)
        except Broken as broken:
            report.event("call_refused", reason=broken.reason, detail=broken.detail)
            self.end("peer_broke_protocol")
            return
        if isinstance(event, Packet) and self._inlet is not None:
            self._inlet.push(event)
        elif isinstance(event, Start):
            self._inlet = self._host.accept(event.attributes)
        elif isinstance(event, Ignored):
            report.dropped(event.reason)

    def poll(self, now: float) -> None:
        """Once a slot: time alone may end the call, or the flow itself."""
        if self.paused:
            self._call.hold(now)
        elif self._call.poll(now) == ENDED:
            self.end(END)
        elif self._inlet is not None and self._inlet.ended:
            self.over = True

    def end(self, reason: str) -> None:
        """No more messages."""
        self.over = True
        if self._inlet is not None:
            self._inlet.end(reason)
