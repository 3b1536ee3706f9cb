"""Make a RingCX call over gRPC: send two parties' mu-law audio to a receiver as RingCX does, with optional faults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from flowcore import Audio, Caps, Config, Duration, Extra, LocalPath, Session, Sink, node
from nodes.audio.g711 import RATE
from nodes.audio.packets import Cutter
from nodes.ringcx.chaos import EVENTS, REASONS, Chaos, ChaosSpec, ChaoticCall

if TYPE_CHECKING:
    from nodes.ringcx.grpc_transport import GrpcTransport


class RingCXGrpcCallConfig(Config):
    """Receiver, metadata and faults of the call."""

    url: str = "grpc://127.0.0.1:3333"
    """Address of the receiver: grpc://HOST:PORT, or grpcs:// with TLS."""

    ca: LocalPath | None = None
    """File with the authority that signed the receiver's certificate; the public authorities by default."""

    authorization: SecretStr | None = None
    """Authorization in the metadata: the credential itself, or ``Bearer …``, ``Basic …``; none when left out."""

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

    chaos: Chaos = ""
    """Faults to inject: ``seed=7`` for kinds that the seed picks, ``seed=7,hold,garbage`` for these kinds."""


@node("ringcx_grpc_call")
class RingCXGrpcCall(Sink[Audio, RingCXGrpcCallConfig]):
    """Send a flow as one dialog: DialogInit, a segment for each party with Media of 100 ms, and their Stops.

    In: ``Audio``, mu-law 8 kHz, tracks ``agent`` and ``customer``. A gap in a track is sent as silence, so that
    positions stay right at the receiver. The source sets the pace (``wav_source`` has a speed), and the call is never
    faster than the receiver reads.

    With ``chaos`` it injects faults, and reports each one (event ``chaos_injected``).
    Kinds: ``dialect`` (omits all optional fields, counts samples), ``no_stop`` (one, or none and cancelled),
    ``no_start`` (media before DialogInit and the segments), ``hold`` (with or without hold messages), ``transfer``
    (a second session of the dialog, on a stream of its own), ``garbage`` (invalid or meaningless messages),
    ``slow`` (in small pieces), ``half_open`` (a connection that freezes, and is reset in the end). A receiver should
    lose no sample of what was sent.

    Example::

        line: {use: ringcx_grpc_call, from: coded, with: {url: "grpc://127.0.0.1:3333"}}
    """

    runs = "thread"
    events = EVENTS
    reasons = REASONS
    caps = (Caps("audio", ("mulaw",), (RATE,), ("tracks",)),)

    def __init__(self, config: RingCXGrpcCallConfig) -> None:
        super().__init__(config)
        self._cutter = Cutter(max(1, config.chunk.samples(RATE)))
        self._call: GrpcTransport | ChaoticCall | None = None

    @classmethod
    def requires(cls, config: RingCXGrpcCallConfig) -> Sequence[Extra]:
        return (Extra("grpc", "grpc"), Extra("google.protobuf", "grpc"))

    def open(self, session: Session) -> None:
        from nodes.ringcx.grpc_transport import GrpcTransport

        config = self.config
        attributes = {"call_id": config.call_id or session.flow, "session_id": config.session_id}
        attributes |= {name: value for name, value in (("ani", config.ani), ("dnis", config.dnis)) if value}
        credential = config.authorization.get_secret_value() if config.authorization else ""
        call = GrpcTransport(
            config.url, attributes, authorization=credential, ca=Path(config.ca) if config.ca else None
        )
        self._call = ChaoticCall(call, ChaosSpec.parse(config.chaos), session, self.report) if config.chaos else call
        self._call.begin()

    def process(self, chunk: Audio) -> None:
        if self._call is not None:
            for packet in self._cutter.cut(chunk):
                self._call.media(packet)

    def flush(self) -> None:
        if self._call is not None:
            for packet in self._cutter.rest():
                self._call.media(packet)
            self._call.end()

    def close(self) -> None:
        if self._call is not None:
            self._call.close()
