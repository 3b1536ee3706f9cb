"""Make a RingCX call: send two parties' mu-law sound to a receiver, the way RingCX itself streams a call."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import CLOSE_CODE_EXPLANATIONS
from websockets.sync.client import ClientConnection, connect

import flowcore
from flowcore import Audio, CannotStart, Config, FlowcoreError, Session, Sink, Takes, node
from nodes.protocols.ringcx import RATE, Caller, Dialect, Sequence

CHUNK = RATE // 50
"""Bytes of one message: 20 ms, as RingCX sends them."""

SILENCE = b"\xff"

CLOSING = 5.0
"""Seconds that the receiver has to close its side; half of what the engine gives a flow to end."""


@node("ringcx_call")
class RingCXCall(Sink[Audio]):
    """Send a flow as one call: Connected, Start, Media in pieces of 20 ms, and a Stop for each party.

    In: ``Audio``, mu-law 8 kHz, tracks ``agent`` and ``customer``. A hole in a track is sent as silence, so that
    positions stay right at the receiver. Messages of the parties take turns as the chunks do. It does not keep time:
    the pace is that of the source (``wav_source`` has a speed), and never faster than the receiver reads.

    Example::

        line: {use: ringcx_call, from: coded, with: {url: "ws://127.0.0.1:3333/"}}
    """

    runs = "thread"
    takes = (Takes("audio", ("mulaw",), (RATE,), ("tracks",)),)

    class Config(flowcore.Config):
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

    config: Config

    def __init__(self, config: Config) -> None:
        self.config = config
        self._shown = config.url.partition("?")[0]  # a query may hold what proves who calls
        self._stack = ExitStack()
        self._socket: ClientConnection | None = None
        self._caller = Caller({})
        self._held: dict[str, bytearray] = {"agent": bytearray(), "customer": bytearray()}
        self._end = dict.fromkeys(self._held, 0)  # samples on the flow's clock, of each track

    def open(self, session: Session) -> None:
        config = self.config
        said = {"call_id": config.call_id or session.flow, "session_id": config.session_id}
        said |= {name: value for name, value in (("ani", config.ani), ("dnis", config.dnis)) if value}
        self._caller = Caller(said, config.dialect, config.sequence)
        try:
            self._socket = self._stack.enter_context(
                connect(config.url, compression=None, proxy=None, ping_interval=None, close_timeout=CLOSING)
            )
        except InvalidURI:
            raise CannotStart(f"{self._shown} is no WebSocket address: write ws://HOST:PORT/", field="url") from None
        except InvalidStatus as error:
            status = error.response.status_code
            raise CannotStart(f"{self._shown} refuses the call with HTTP status {status}", field="url") from None
        except (OSError, InvalidHandshake) as error:
            fix = "start a receiver there, or correct the address"
            raise CannotStart(f"no call to {self._shown} ({error}): {fix}", field="url") from None
        self._send(self._caller.connected())
        self._send(self._caller.start())

    def process(self, chunk: Audio) -> None:
        held = self._held[chunk.track]
        held += SILENCE * (chunk.start - self._end[chunk.track])
        held += chunk.samples.tobytes()
        self._end[chunk.track] = chunk.end
        whole = len(held) - len(held) % CHUNK
        for at in range(0, whole, CHUNK):
            self._send(self._caller.media(chunk.track, bytes(held[at : at + CHUNK])))
        del held[:whole]

    def flush(self) -> None:
        for track, held in self._held.items():
            if held:
                self._send(self._caller.media(track, bytes(held)))
                held.clear()
        ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for track in self._held:
            self._send(self._caller.stop(round(self._end[track] / RATE), ended))
        if self._socket is not None:
            self._socket.close()  # which waits for the receiver's part of it
            self._check(self._socket.close_code)

    def close(self) -> None:
        self._stack.close()

    def _send(self, message: bytes) -> None:
        if self._socket is not None:
            try:
                self._socket.send(message, text=True)
            except ConnectionClosed:
                raise self._lost(self._socket) from None

    def _check(self, code: int | None) -> None:
        if self._socket is not None and code not in (1000, 1001):
            raise self._lost(self._socket)

    def _lost(self, connection: ClientConnection) -> FlowcoreError:
        code = connection.close_code or 1006
        meaning = connection.close_reason or CLOSE_CODE_EXPLANATIONS.get(code, "")
        return FlowcoreError(f"{self._shown} ended the call with {code} {meaning}".rstrip())
