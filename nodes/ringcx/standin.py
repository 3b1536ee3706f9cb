"""RingCX calls without a socket, for ``flowcore test``: the messages of a call, and the listener's end of them.

The messages pass through the listener's own code, from the parser on; only TCP and WebSocket are left out.
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
from nodes.audio.g711 import PACKET, RATE
from nodes.net.proxy_trust import normalize_address
from nodes.net.site import collect_routes
from nodes.ringcx.access_policy import AccessPolicy, Admission, Rules
from nodes.ringcx.call_peer import CallPeer
from nodes.ringcx.call_sender import CallSender

END = "stop"
"""The end reason of a call without errors."""


def messages(
    attributes: Mapping[str, str], voices: Mapping[str, NDArray[np.int16]]
) -> Iterator[tuple[float, str, bytes]]:
    """Yield the messages of one call, each with the second of the call at which it is sent, and its track or ""."""
    sender = CallSender(attributes)
    yield 0.0, "", sender.connected()
    yield 0.0, "", sender.start()
    longest = max((len(samples) for samples in voices.values()), default=0)
    for at in range(0, longest, PACKET):
        for track, samples in voices.items():
            if at < len(samples):
                sent = min(at + PACKET, longest) / RATE  # a packet is sent when its last sample was spoken
                yield sent, track, sender.media(track, g711.encode(samples[at : at + PACKET]).tobytes())
    for _ in range(2):
        yield longest / RATE, "", sender.stop(round(longest / RATE), "2026-01-02T03:04:05Z")


class Connection:
    """The listener's end of one connection, `CallPeer`, without the connection. A `nodes.net.peer.Closable`."""

    def __init__(self, host: Host, config: Any, path: str = "/") -> None:
        self._host = _InletHost(host)
        self._closed = False
        self._reading = True
        collect_routes(host, exposed=False)  # fails as in the listener
        policy = AccessPolicy(Rules(), host.report, host.connections)  # which admits every call
        admission = Admission(policy, normalize_address("127.0.0.1"))
        request = Request(path, Headers())
        self._peer = CallPeer(cast(Host, self._host), request, admission, start=config.start, idle=config.idle)
        self._peer.opened(self)

    @property
    def over(self) -> bool:
        """Whether the call has ended, on either side."""
        inlet = self._host.inlet
        return self._closed or (inlet is not None and inlet.ended)

    @property
    def paused(self) -> bool:
        """Whether the flow asks not to read on."""
        return not self._reading

    def receive(self, data: Any, now: float) -> None:
        """Process one message."""
        self._peer.messages_received([data], now)

    def poll(self, now: float) -> None:
        """Run one slot."""
        if not self._closed:
            self._reading = self._peer.wants_read(now)

    def end(self, reason: str) -> None:
        """End the connection from the remote side."""
        self._closed = True
        self._peer.closed(reason)

    def close(self, code: int, reason: str = "") -> None:
        """End the connection from the listener's side."""
        self._closed = True


class _InletHost:
    """A host that keeps the inlet of its call."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.inlet: Inlet | None = None

    def accept(self, attributes: Mapping[str, str]) -> Inlet:
        self.inlet = self._host.accept(attributes)
        return self.inlet

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)
