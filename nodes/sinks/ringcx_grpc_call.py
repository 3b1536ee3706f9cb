"""Make a RingCX call over gRPC: send two parties' mu-law sound to a receiver, the way RingCX itself streams a call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

import flowcore
from flowcore import Audio, Duration, Extra, Session, Sink, Takes, node
from nodes.protocols.ringcx import RATE

if TYPE_CHECKING:
    from nodes.net.grpc_client import Stream
    from nodes.protocols.ringcx_grpc import Teller


@node("ringcx_grpc_call")
class RingCXGrpcCall(Sink[Audio]):
    """Send a flow as one dialog: DialogInit, a segment for each party with Media of 100 ms, and their Stops.

    In: ``Audio``, mu-law 8 kHz, tracks ``agent`` and ``customer``. A hole in a track is sent as silence, so that
    positions stay right at the receiver. It does not keep time: the pace is that of the source (``wav_source`` has a
    speed), and never faster than the receiver reads.

    Example::

        line: {use: ringcx_grpc_call, from: coded, with: {url: "grpc://127.0.0.1:3333"}}
    """

    runs = "thread"
    takes = (Takes("audio", ("mulaw",), (RATE,), ("tracks",)),)

    class Config(flowcore.Config):
        """Whom to call, and what to say of the call."""

        url: str = "grpc://127.0.0.1:3333"
        """Address of the receiver: grpc://HOST:PORT, or grpcs:// with TLS."""

        ca: Path | None = None
        """File with the authority that signed the receiver's certificate; those that the public trusts by default."""

        authorization: SecretStr | None = None
        """What stands in the metadata: the credential itself, or ``Bearer …``, ``Basic …``; nothing when left out."""

        call_id: str = ""
        """The dialog's id; the flow's own when left out."""

        session_id: str = "1"
        """The id of the stream's session."""

        ani: str = ""
        """The caller's number; not sent when left out."""

        dnis: str = ""
        """The number that was called; not sent when left out."""

        chunk: Duration = Duration("100ms")
        """Length of the audio in a message."""

    config: Config

    def __init__(self, config: Config) -> None:
        self.config = config
        self._stream: Stream | None = None
        self._teller: Teller
        self._size = max(1, config.chunk.samples(RATE))
        self._held: dict[str, bytearray] = {}
        self._end: dict[str, int] = {}  # samples on the flow's clock, of each track

    @classmethod
    def requires(cls, config: Config) -> Sequence[Extra]:
        return (Extra("grpc", "grpc"), Extra("google.protobuf", "grpc"))

    def open(self, session: Session) -> None:
        from nodes.net.grpc_client import Stream
        from nodes.protocols.ringcx_grpc import METHOD, Teller

        config = self.config
        said = {"call_id": config.call_id or session.flow, "session_id": config.session_id}
        said |= {name: value for name, value in (("ani", config.ani), ("dnis", config.dnis)) if value}
        self._teller = Teller(said)
        credential = config.authorization.get_secret_value() if config.authorization else ""
        self._stream = Stream(config.url, METHOD, authorization=credential, ca=config.ca)
        self._stream.send(self._teller.dialog_init())

    def process(self, chunk: Audio) -> None:
        track = chunk.track
        if track not in self._held:
            self._send(self._teller.segment_start(track))
            self._held[track] = bytearray()
        held = self._held[track]
        held += b"\xff" * (chunk.start - self._end.get(track, 0))
        held += chunk.samples.tobytes()
        self._end[track] = chunk.end
        whole = len(held) - len(held) % self._size
        for at in range(0, whole, self._size):
            self._send(self._teller.media(track, bytes(held[at : at + self._size])))
        del held[:whole]

    def flush(self) -> None:
        for track, held in self._held.items():
            if held:
                self._send(self._teller.media(track, bytes(held)))
                held.clear()
        for track in self._held:
            self._send(self._teller.segment_stop(track))
        if self._stream is not None:
            self._stream.finish()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def _send(self, message: bytes) -> None:
        if self._stream is not None:
            self._stream.send(message)
