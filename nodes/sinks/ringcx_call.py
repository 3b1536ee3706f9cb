"""Make a RingCX call: send two parties' mu-law audio to a receiver as RingCX does, with optional faults."""

from __future__ import annotations

from flowcore import Caps, node
from nodes.audio.g711 import PACKET, RATE
from nodes.audio.packets import Numbering, Packetizer
from nodes.ringcx.call_sender import Dialect
from nodes.ringcx.call_sink import CallConfig, CallSink
from nodes.ringcx.websocket_transport import WebSocketTransport


class RingCXCallConfig(CallConfig):
    """Receiver, metadata and faults of the call."""

    url: str = "ws://127.0.0.1:3333/"
    """Address of the receiver: ws:// or wss://."""

    dialect: Dialect = "camel"
    """Spelling of the messages: ``camel`` as RingCX documents it today, ``upper`` as in 2021."""

    sequence: Numbering = "per_track"
    """Whether sequence numbers count the messages of each party, or those of the call (``shared``)."""


@node("ringcx_call")
class RingCXCall(CallSink[RingCXCallConfig]):
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

    caps = (Caps("audio", ("mulaw",), (RATE,), ("tracks",)), Caps("packets", ("mulaw",), (RATE,), ("tracks",)))

    def __init__(self, config: RingCXCallConfig) -> None:
        super().__init__(config, Packetizer(PACKET, config.sequence))

    def make_transport(self, attributes: dict[str, str]) -> WebSocketTransport:
        return WebSocketTransport(self.config.url, attributes, self.config.dialect)
