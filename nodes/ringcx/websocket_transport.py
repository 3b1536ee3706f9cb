"""A call over WebSocket as RingCX makes it, with optional faults."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from flowcore import Packet
from nodes.audio.g711 import RATE
from nodes.ringcx.call_sender import CallSender, Dialect
from nodes.ringcx.call_transport import CallTransport
from nodes.ringcx.websocket_client import WebSocketClient

SLOW_MESSAGE = 0.03
"""Seconds that a slow message takes, in which a call in real time sends three."""

FRAGMENTS = 3
"""Fragments of a slow message."""


class WebSocketTransport(CallTransport):
    """Sends Connected, Start, the media as it comes and a Stop for each party, then hangs up.

    See `nodes.ringcx.call_sender.CallSender` for ``attributes``.
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

    def __init__(self, url: str, attributes: Mapping[str, str], dialect: Dialect) -> None:
        self.attributes = dict(attributes)
        self._url = url
        self._dialect: Dialect = dialect
        self._client: WebSocketClient | None = None
        self._sender = CallSender(self.attributes, dialect)
        self._seconds: dict[str, float] = {}  # audio of each party in this session
        self._slow = 0  # messages that remain to be sent slowly

    def begin(self) -> None:
        self._seconds = {"agent": 0.0, "customer": 0.0}
        self._sender = CallSender(self.attributes, self._dialect)
        self._client = WebSocketClient(self._sender.request_url(self._url))
        self._client.send(self._sender.connected())
        self._client.send(self._sender.start())

    def media(self, packet: Packet) -> None:
        self._seconds[packet.track] += len(packet.data) / RATE
        self._send(self._sender.media(packet.track, packet.data, packet.seq))

    def stop_parties(self, count: int) -> None:
        ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for seconds in list(self._seconds.values())[:count]:
            self._send(self._sender.stop(round(seconds), ended))

    def hang_up(self) -> None:
        if self._client is not None:
            self._client.hang_up()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def prepare(self, kinds: Collection[str]) -> None:
        if "dialect" in kinds:
            self._dialect = "upper"

    def begin_without_start(self) -> None:
        """Make a connection before the call that sends Stop and never Start."""
        sender = CallSender(self.attributes, self._dialect)
        client = WebSocketClient(sender.request_url(self._url))
        try:
            client.send(sender.connected())
            client.send(sender.stop(0, "2021-01-14T00:00:00Z"))
            client.hang_up()
        finally:
            client.close()
        self.begin()

    def hold(self, seconds: float, announced: bool) -> None:  # the protocol has no hold messages
        time.sleep(seconds)

    def send_garbage(self, name: str) -> None:
        self._send(name.encode())

    def slow_down(self, seconds: float) -> None:
        self._slow = round(seconds / SLOW_MESSAGE)

    def fall_silent(self) -> None:
        """Do nothing: the library goes on answering pings."""

    def reset(self) -> None:
        if self._client is not None:
            self._client.reset()

    def _send(self, message: bytes) -> None:
        if self._client is None:
            return
        if self._slow:
            self._slow -= 1
            self._client.send_slowly(message, FRAGMENTS, SLOW_MESSAGE)
        else:
            self._client.send(message)
