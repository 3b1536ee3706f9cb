"""Make a RingCX call: send two parties' mu-law sound to a receiver, as RingCX itself does, or worse."""

from __future__ import annotations

from flowcore import Audio, Caps, Config, Packet, Session, Sink, node
from nodes.audio.packets import Cutter
from nodes.ringcx.chaos import Chaos, Chaotic, Order
from nodes.ringcx.protocol import RATE, Dialect, Sequence
from nodes.ringcx.websocket_transport import WebSocketTransport

CHUNK = RATE // 50
"""Bytes of one message: 20 ms, as RingCX sends them."""


class RingCXCallConfig(Config):
    """Whom to call, and what to say of the call."""

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
    """How messages are spelt: ``camel`` as RingCX documents it today, ``upper`` as in 2021."""

    sequence: Sequence = "per_track"
    """What a sequence number counts: the messages of its party, or those of the call (``shared``)."""

    chaos: Chaos = ""
    """Trouble to make: ``seed=7`` for some that the seed picks, ``seed=7,hold,garbage`` for these."""


@node("ringcx_call")
class RingCXCall(Sink[Audio | Packet, RingCXCallConfig]):
    """Send a flow as one call: Connected, Start, Media in pieces of 20 ms, and a Stop for each party.

    In: ``Audio``, mu-law 8 kHz, tracks ``agent`` and ``customer``, of which a hole is sent as silence; or ``Packet``,
    each of which becomes a message with its own number, whatever ``netsim`` did to it on its way.
    Messages of the parties take turns as the chunks do. It does not keep time: the pace is that of the source
    (``wav_source`` has a speed), and never faster than the receiver reads.

    With ``chaos`` it is a sender that does what no documentation promises, and tells each time (event ``chaos``).
    Kinds: ``dialect`` (that of 2021), ``no_stop`` (one, or none), ``no_start`` (a connection before the call that says
    only Stop), ``hold``, ``transfer`` (a second session of the call), ``garbage`` (messages that are none), ``slow``,
    ``half_open`` (falls silent, and is gone in the end). A receiver should lose no sample of what was sent.

    Example::

        line: {use: ringcx_call, from: coded, with: {url: "ws://127.0.0.1:3333/"}}
    """

    runs = "thread"
    caps = (
        Caps("audio", ("mulaw",), (RATE,), ("tracks",)),
        Caps("packets", ("mulaw",), (RATE,), ("tracks",)),
    )

    def __init__(self, config: RingCXCallConfig) -> None:
        super().__init__(config)
        self._cutter = Cutter(CHUNK, config.sequence)
        self._call: WebSocketTransport | Chaotic | None = None

    def open(self, session: Session) -> None:
        config = self.config
        said = {"call_id": config.call_id or session.flow, "session_id": config.session_id}
        said |= {name: value for name, value in (("ani", config.ani), ("dnis", config.dnis)) if value}
        call = WebSocketTransport(config.url, said, config.dialect)
        self._call = Chaotic(call, Order.read(config.chaos), session, self.report) if config.chaos else call
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
