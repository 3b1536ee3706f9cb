"""The common base of `ringcx_call` and `ringcx_grpc_call`: their config, and the call that a flow becomes."""

from __future__ import annotations

from abc import abstractmethod
from typing import TypeVar

from flowcore import Audio, Config, Packet, Session, Sink
from nodes.audio.packets import Packetizer
from nodes.ringcx.call_transport import CallTransport
from nodes.ringcx.chaos import EVENTS, REASONS, Chaos, ChaosSpec, ChaoticCall


class CallConfig(Config):
    """Receiver, metadata and faults of the call."""

    url: str
    """Address of the receiver."""

    call_id: str = ""
    """The call's id (RingCX: uii, or over gRPC the dialog's id); the flow's own when left out."""

    session_id: str = "1"
    """The id of the agent's session within the call."""

    ani: str = ""
    """The caller's number; not sent when left out."""

    dnis: str = ""
    """The number that was called; not sent when left out."""

    chaos: Chaos = ""
    """Faults to inject: ``seed=7`` for kinds that the seed picks, ``seed=7,hold,garbage`` for these kinds."""


CallConfigT = TypeVar("CallConfigT", bound=CallConfig)


class CallSink(Sink[Audio | Packet, CallConfigT]):
    """Makes one call of a flow: sends packets as they are, and audio as ``packetizer`` cuts it."""

    runs = "thread"
    events = EVENTS
    reasons = REASONS

    def __init__(self, config: CallConfigT, packetizer: Packetizer) -> None:
        super().__init__(config)
        self._packetizer = packetizer
        self._call: CallTransport | ChaoticCall | None = None

    @abstractmethod
    def make_transport(self, attributes: dict[str, str]) -> CallTransport:
        """Return the transport of a call with these attributes, before it begins."""

    def open(self, session: Session) -> None:
        config = self.config
        attributes = {"call_id": config.call_id or session.flow, "session_id": config.session_id}
        attributes |= {name: value for name, value in (("ani", config.ani), ("dnis", config.dnis)) if value}
        call = self.make_transport(attributes)
        self._call = ChaoticCall(call, ChaosSpec.parse(config.chaos), session, self.report) if config.chaos else call
        self._call.begin()

    def process(self, chunk: Audio | Packet) -> None:
        if self._call is not None:
            for packet in (chunk,) if isinstance(chunk, Packet) else self._packetizer.add(chunk):
                self._call.media(packet)

    def flush(self) -> None:
        if self._call is not None:
            for packet in self._packetizer.flush():
                self._call.media(packet)
            self._call.end()

    def close(self) -> None:
        if self._call is not None:
            self._call.close()
