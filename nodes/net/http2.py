"""The server side of one HTTP/2 connection (RFC 9113) without its socket: bytes in, events out, and vice versa.

The library `h2` does the work. It stands where a `nodes.net.websocket.WebSocket` stands in a connection of a port, so
that both share the socket, TLS, rates and limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event, RequestReceived
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""The first bytes of a client (RFC 9113, 3.4)."""

MAX_STREAMS = 200
"""Streams at once on one connection, as announced to the peer; a proxy opens another connection for more."""

MAX_HEADERS = 16 * 1024
"""Bytes of the headers of a request, as announced to the peer. `h2` ends a connection at 64 KiB."""

HEADER_SIZE = 9
"""Bytes before the payload of a frame: its length in three of them, its type, flags and stream (RFC 9113, 4.1)."""

MAX_FRAME = 16 * 1024
"""Bytes of a frame's payload: HTTP/2's own default (RFC 9113, 4.2)."""

WINDOW = 64 * 1024 - 1
"""Bytes of a stream that the peer may send before they are processed: HTTP/2's own default, 8 s of a call."""

UPDATE_SIZE = WINDOW // 4
"""Processed bytes that are reported to the peer together."""

REQUEST_COST = 16
"""Frames that a new stream counts in addition, as it costs as much work: a client may open and reset streams without
end."""

LAST_STREAM = (1 << 31) - 1
"""The highest number of a stream, in the first GOAWAY of a server (RFC 9113, 6.8): all streams in flight are taken."""

Headers = Sequence[tuple[str, str]]


class Http2:
    """The state of one connection. ``frames`` counts what its bytes cost, in frames."""

    answers_pings = True
    """Whether silence means that the peer is gone: HTTP/2 does not leave the answer to a ping to the peer."""

    def __init__(self) -> None:
        self.frames = 0
        self.has_output = True
        """Whether `output` may have something to send, or the peer ended the connection."""
        self.error = ""
        """The name of the error (RFC 9113, 7) with which the peer broke HTTP/2."""
        self._h2 = H2Connection(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_inbound_headers=False,  # `h2` would end all streams, where RFC 9113 (8.1.1) ends one
                validate_outbound_headers=False,
            )
        )
        limits = {SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS, SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADERS}
        self._h2.local_settings = Settings(client=False, initial_values=limits)
        self._h2.initiate_connection()
        # `h2` would end the connection with all its streams for one that is beyond the limits: its owner refuses that.
        self._h2.local_settings = Settings(client=False)
        self._goodbye = b""  # a GOAWAY that waits to be sent
        self._processed = 0  # bytes of all streams that the peer does not know of yet
        self._tail = b""  # the start of a frame that is not complete yet
        self._begun = False  # the preface has come
        self._broken = self._eof = self._closing = False

    @property
    def open(self) -> bool:
        """Whether neither side has ended the connection."""
        return not (self._broken or self._eof or self._closing)

    @property
    def end_reason(self) -> str:
        """``peer_lost`` or ``peer_broke_protocol`` once the peer ended the connection; else empty."""
        if self._broken:
            return "peer_broke_protocol"
        return "peer_lost" if self._eof else ""

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the peer; return the events of its streams."""
        buffer = self._tail + data
        at = end = 0
        events: list[Event] = []
        while self.open and (end := self._end_of_frame(buffer, at)) <= len(buffer):
            if not self._begun or buffer[at + 3] != GoAwayFrame.type:
                # Frame by frame, as `h2` returns nothing of what came before an error.
                try:
                    events += self._h2.receive_data(buffer[at:end])
                except ProtocolError as error:
                    self._break(error.error_code)
            # After the peer's GOAWAY `h2` would end its streams, but it only says that it opens no more of them.
            self._begun = True
            self.frames += 1
            at = end
        self._tail = buffer[at:]
        self.frames += REQUEST_COST * sum(isinstance(event, RequestReceived) for event in events)
        self.has_output = True
        return events

    def _end_of_frame(self, buffer: bytes, at: int) -> int:
        """Return where the frame at ``at`` ends. A frame that is too long is an error as soon as it says so."""
        if not self._begun:
            return len(PREFACE)
        if len(buffer) - at < HEADER_SIZE:
            return at + HEADER_SIZE
        length = int.from_bytes(buffer[at : at + 3], "big")
        if length > MAX_FRAME:
            self._h2.close_connection(ErrorCodes.FRAME_SIZE_ERROR)
            self._break(ErrorCodes.FRAME_SIZE_ERROR)
        return at + HEADER_SIZE + length

    def _break(self, error: ErrorCodes) -> None:
        self._broken = True
        self.error = error.name

    def receive_eof(self) -> None:
        """Note that the peer sends no more bytes."""
        self.has_output = self._eof = True

    def processed(self, stream: int, size: int) -> None:
        """Let the peer send ``size`` more bytes of a stream, as so many were processed."""
        if self.open:
            with suppress(StreamClosedError, KeyError):  # it is closed
                self._h2.increment_flow_control_window(size, stream)
            self.has_output = True

    def received(self, size: int) -> None:
        """Count bytes that came for any stream: streams that are not read must not hold up the others."""
        self._processed += size
        if self._processed >= UPDATE_SIZE and self.open:
            self._h2.increment_flow_control_window(self._processed)
            self._processed = 0
            self.has_output = True

    # The peer may have reset a stream with the bytes of its request: then there is nobody to send to.

    def send_headers(self, stream: int, headers: Headers, *, end: bool = False) -> None:
        """Send headers, or trailers; ``end`` says that nothing follows them. Does nothing once the stream is closed."""
        if self.open:
            with suppress(StreamClosedError):
                self._h2.send_headers(stream, headers, end_stream=end)
            self.has_output = True

    def send(self, stream: int, data: bytes, *, end: bool = False) -> bool:
        """Send data, if the stream is open and the peer's window has room for all of it; return whether it was sent."""
        if not self.open:
            return False
        try:
            if self._h2.local_flow_control_window(stream) < len(data):
                return False
            self._h2.send_data(stream, data, end_stream=end)
        except StreamClosedError:
            return False
        self.has_output = True
        return True

    def reset(self, stream: int) -> None:
        """End a stream at once, without an error. Does nothing once it is closed."""
        if self.open:
            with suppress(StreamClosedError):
                self._h2.reset_stream(stream)
            self.has_output = True

    def ping(self) -> None:
        """Send a ping, which every peer answers."""
        if self.open:
            self._h2.ping(bytes(8))
            self.has_output = True

    def announce_end(self) -> None:
        """Tell the peer to open new streams elsewhere; those that run go on."""
        self._goodbye += GoAwayFrame(0, last_stream_id=LAST_STREAM).serialize()
        self.has_output = True

    def close(self, code: int, reason: str = "") -> None:
        """End the connection. ``code`` and ``reason`` are a WebSocket's, which HTTP/2 has no place for."""
        if self.open:
            self._h2.close_connection()
            self.has_output = self._closing = True

    def output(self) -> list[bytes]:
        """Take the bytes to send; an empty item stands for the end of the connection."""
        self.has_output = False
        data, self._goodbye = self._h2.data_to_send() + self._goodbye, b""
        ended = not self.open
        return [data] * bool(data) + [b""] * ended
