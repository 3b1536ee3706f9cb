"""RingCX calls without a socket, for ``flowcore test``: the messages of a call, and the listener's end of them.

The messages pass through the listener's own code, from the parser on; only TCP and WebSocket are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.datastructures import Headers
from websockets.http11 import Request

from flowcore import Host
from flowcore.addresses import normalize_address
from nodes.audio import g711
from nodes.audio.g711 import PACKET, RATE
from nodes.net.site import collect_routes
from nodes.ringcx.access_policy import AccessPolicy, Admission
from nodes.ringcx.call_peer import CallPeer
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.listener_config import ListenerConfig

END = "stop"
"""The end reason of a call without errors."""

Voices = Mapping[str, NDArray[np.int16]]


def messages(attributes: Mapping[str, str], voices: Voices) -> Iterator[tuple[float, str, bytes]]:
    """Yield the messages of one call, each with the second of the call at which it is sent, and its track or ""."""
    sender = CallSender(attributes)
    yield 0.0, "", sender.connected()
    yield 0.0, "", sender.start()
    for sent, track, data in cut(voices, PACKET):
        yield sent, track, sender.media(track, data)
    for _ in range(2):
        yield length(voices) / RATE, "", sender.stop(round(length(voices) / RATE), "2026-01-02T03:04:05Z")


def cut(voices: Voices, size: int) -> Iterator[tuple[float, str, bytes]]:
    """Yield the voices as mu-law, ``size`` samples at a time, each with the second at which its last one was spoken."""
    longest = length(voices)
    for at in range(0, longest, size):
        for track, samples in voices.items():
            if at < len(samples):
                yield min(at + size, longest) / RATE, track, g711.encode(samples[at : at + size]).tobytes()


def length(voices: Voices) -> int:
    """Return the samples of the longest voice."""
    return max(map(len, voices.values()), default=0)


def admit_all(host: Host) -> Admission:
    """Return the admission of a call from this machine, by an access policy without rules."""
    return Admission(AccessPolicy(ListenerConfig(), host.report, host.connections), normalize_address("127.0.0.1"))


class Connection:
    """The listener's end of one connection, `CallPeer`, without the connection.

    A `flowcore.scenario.standin.Connection` for the sender's side, a `nodes.net.peer.Closable` for the listener's.
    """

    def __init__(self, host: Host, config: Any, path: str = "/") -> None:
        self._closed = False
        self._reading = True
        collect_routes(host, exposed=False)  # fails as in the listener
        request = Request(path, Headers())
        self._peer = CallPeer(host, request, admit_all(host), start=config.start, idle=config.idle)
        self._peer.opened(self)

    @property
    def over(self) -> bool:
        return self._closed or self._peer.over

    @property
    def paused(self) -> bool:
        return not self._reading

    def receive(self, data: Any, now: float) -> None:
        self._peer.messages_received([data], now)

    def poll(self, now: float) -> None:
        if not self._closed:
            self._reading = self._peer.wants_read(now)

    def end(self, reason: str) -> None:
        self._closed = True
        self._peer.closed(reason)

    def close(self, code: int, reason: str = "") -> None:
        self._closed = True
