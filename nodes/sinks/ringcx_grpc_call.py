"""Make a RingCX call over gRPC: send two parties' mu-law audio to a receiver as RingCX does, with optional faults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from flowcore import Caps, Duration, Extra, LocalPath, node
from nodes.audio.g711 import RATE
from nodes.audio.packets import Packetizer
from nodes.ringcx.call_sink import CallConfig, CallSink

if TYPE_CHECKING:
    from nodes.ringcx.grpc_transport import GrpcTransport


class RingCXGrpcCallConfig(CallConfig):
    """Receiver, metadata and faults of the call."""

    url: str = "grpc://127.0.0.1:3333"
    """Address of the receiver: grpc://HOST:PORT, or grpcs:// with TLS."""

    ca: LocalPath | None = None
    """File with the authority that signed the receiver's certificate; the public authorities by default."""

    authorization: SecretStr | None = None
    """Authorization in the metadata: the credential itself, or ``Bearer …``, ``Basic …``; none when left out."""

    chunk: Duration = Duration("100ms")
    """Length of the audio in a message."""


@node("ringcx_grpc_call")
class RingCXGrpcCall(CallSink[RingCXGrpcCallConfig]):
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

    caps = (Caps("audio", ("mulaw",), (RATE,), ("tracks",)),)

    def __init__(self, config: RingCXGrpcCallConfig) -> None:
        super().__init__(config, Packetizer(max(1, config.chunk.samples(RATE))))

    @classmethod
    def requires(cls, config: RingCXGrpcCallConfig) -> Sequence[Extra]:
        return (Extra("grpc", "grpc"),)

    def make_transport(self, attributes: dict[str, str]) -> GrpcTransport:
        from nodes.ringcx.grpc_transport import GrpcTransport

        config = self.config
        authorization = config.authorization.get_secret_value() if config.authorization else ""
        ca = Path(config.ca) if config.ca else None
        return GrpcTransport(config.url, attributes, authorization=authorization, ca=ca)
