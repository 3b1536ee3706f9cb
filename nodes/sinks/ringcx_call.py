"""Make a RingCX call: send two parties' mu-law audio to a receiver as RingCX does, with optional faults."""

from __future__ import annotations

from flowcore import Audio, Caps, Config, Packet, Session, Sink, node
from nodes.audio.g711 import PACKET, RATE
from nodes.audio.packets import Cutter, Numbering
from nodes.ringcx.call_sender import Dialect
from nodes.ringcx.chaos import EVENTS, REASONS, Chaos, ChaosSpec, ChaoticCall
from nodes.ringcx.websocket_transport import WebSocketTransport


class RingCXCallConfig(Config):
    """Receiver, metadata and faults of the call."""

    url: str = "ws://127.0.0.1:3333/"
    """Address of the receiver: ws:// or wss://."""

    call_id: str = ""
    """The call's id (RingCX: uii); the flow's own when left out."""

    session_id: str = "1"
    """The id of the agent's session within the call."""

    ani: str = ""
    """The caller's number; not sent when left out."""

    dnis: str = ""
    """The number that was called; not sent when left out."""

    dialect: Dialect = "camel"
    """Spelling of the messages: ``camel`` as RingCX documents it today, ``upper`` as in 2021."""

    sequence: Numbering = "per_track"
    """Whether sequence numbers count the messages of each party, or those of the call (``shared``)."""

    chaos: Chaos = ""
    """Faults to inject: ``seed=7`` for kinds that the seed picks, ``seed=7,hold,garbage`` for these kinds."""


@node("ringcx_call")
class RingCXCall(Sink[Audio | Packet, RingCXCallConfig]):
    """Send a flow as one call: Connected, Start, Media in pieces of 20 ms, and a Stop for each party.

    In: ``Audio``, mu-law 8 kHz, tracks ``agent`` and ``customer``, whose gaps are sent as silence; or ``Packet``,
    each of which becomes a message with its own number, also after ``netsim``.
    Messages of the parties take turns as the chunks do. The source sets the pace (``wav_source`` has a speed),
    and the call is never faster than the receiver reads.

    With ``chaos`` it injects faults, and reports each one (event ``chaos_injected``).
    Kinds: ``dialect`` (that of 2021), ``no_stop`` (one, or none), ``no_start`` (a connection before the call that sends
    only Stop), ``hold``, ``transfer`` (a second session of the call), ``garbage`` (invalid messages), ``slow``,
    ``half_open`` (falls silent, and is reset in the end). A receiver should lose no sample of what was sent.

    Example::

        line: {use: ringcx_call, from: coded, with: {url: "ws://127.0.0.1:3333/"}}
    """

    runs = "thread"
    events = EVENTS
    reasons = REASONS
    caps = (
        Caps("audio", ("mulaw",), (RATE,), ("tracks",)),
        Caps("packets", ("mulaw",), (RATE,), ("tracks",)),
    )

    def __init__(self, config: RingCXCallConfig) -> None:
        super().__init__(config)
        self._cutter = Cutter(PACKET, config.sequence)
        self._call: WebSocketTransport | ChaoticCall | None = None

    def open(self, session: Session) -> None:
        config = self.config
        attributes = {"call_id": config.call_id or session.flow, "session_id": config.session_id}
        attributes |= {name: value for name, value in (("ani", config.ani), ("dnis", config.dnis)) if value}
        call = WebSocketTransport(config.url, attributes, config.dialect)
        self._call = ChaoticCall(call, ChaosSpec.parse(config.chaos), session, self.report) if config.chaos else call
        self._call.begin()

    def process(self, chunk: Audio | Packet) -> None:
        if self._call is None:
            return
        for packet in (chunk,) if isinstance(chunk, Packet) else self._cutter.cut(chunk):
            self._call.media(packet)

    def flush(self) -> None:
        if self._call is None:
            return
        for packet in self._cutter.rest():
            self._call.media(packet)
        self._call.end()

    def close(self) -> None:
        if self._call is not None:
            self._call.close()
