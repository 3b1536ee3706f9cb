"""RingCX calls without a socket, for ``flowcore test``: the messages of a call, and the listener's end of them.

What comes in goes the listener's own way, from the protocol's parser on; only TCP and WebSocket are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from websockets.datastructures import Headers
from websockets.http11 import Request

from flowcore import Host, Inlet
from nodes.audio import g711
from nodes.net.proxy_trust import normalize_address
from nodes.net.site import collect_routes
from nodes.ringcx.access_policy import AccessPolicy, Admission, Rules
from nodes.ringcx.call_peer import CallPeer
from nodes.ringcx.protocol import RATE, Caller

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


class Connection:
    """The listener's own end of one connection, `CallPeer`, without the connection."""

    def __init__(self, host: Host, config: Any, path: str = "/") -> None:
        self._watched = _Watched(host)
        self._closed = False
        self._reading = True
        collect_routes(host, exposed=False)  # which the listener would serve
        visit = Admission(
            AccessPolicy(Rules(), host.report, host.connections), normalize_address("127.0.0.1")
        )  # nobody knocks here
        request = Request(path, Headers())
        self._peer = CallPeer(cast(Host, self._watched), request, visit, start=config.start, idle=config.idle)
        self._peer.opened(self)

    @property
    def over(self) -> bool:
        """Whether the call has ended, on whichever side."""
        inlet = self._watched.inlet
        return self._closed or (inlet is not None and inlet.ended)

    @property
    def paused(self) -> bool:
        """Whether the flow asks not to read on."""
        return not self._reading

    def receive(self, data: Any, now: float) -> None:
        """One message."""
        self._peer.messages_received([data], now)

    def poll(self, now: float) -> None:
        """Once a slot."""
        if not self._closed:
            self._reading = self._peer.wants_read(now)

    def end(self, reason: str) -> None:
        """The connection is gone."""
        self._closed = True
        self._peer.closed(reason)

    def close(self, code: int, reason: str = "") -> None:
        """The listener's end hangs up."""
        self._closed = True


class _Watched:
    """A host that remembers the inlet which it gave."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.inlet: Inlet | None = None

    def accept(self, attributes: Mapping[str, str]) -> Inlet:
        self.inlet = self._host.accept(attributes)
        return self.inlet

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)
