"""One WebSocket connection of a server, without its socket: bytes in, whole messages out, bytes to send.

The sans-IO protocol of `websockets` does the work. It only receives whole frames, so that the one kind of frame a call
consists of (text, unfragmented) can bypass it: 0.6 us a frame instead of 4.4, with the same result for any bytes, which
a property test compares. Three rules of RFC 6455 that `websockets` leaves to its caller, or reads in another way, are
here: text must be UTF-8 (1007), an illegal header ends the connection before its payload has come, and a peer may close
in the middle of a fragmented message.
"""

from __future__ import annotations

import codecs
import struct
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus

from websockets.exceptions import InvalidHeader, InvalidMessage, InvalidMethod, InvalidProtocol, InvalidUpgrade
from websockets.frames import Close, Frame, Opcode, apply_mask  # type: ignore[attr-defined]  # apply_mask: C, or Python without
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

MAX_MESSAGE = 64 * 1024
"""Bytes of a message at most (OWASP's advice). A longer one is refused by its announced length, with 1009."""

MAX_FRAGMENTS = 64
"""Frames of one message at most: empty frames cost memory that a limit in bytes does not count."""

MAX_REQUEST = 64 * 1024
"""Bytes of an upgrade request at most, beside the limits of 8 KiB a line and 128 headers."""

_PLAIN = 0x81  # FIN and text: the first byte of a text message in one frame
_MEDIUM = struct.Struct(">BBH4s")  # the header of a masked frame of 126 to 65,535 bytes, all of a legal length
_MASKED_MEDIUM = 0x80 | 126
_OPCODES = frozenset(Opcode)
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_MAX_CONTROL = 125  # bytes of a ping, pong or close frame
_utf8_decoder = codecs.getincrementaldecoder("utf-8")
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class WebSocket:
    """The server side of one connection. It accepts no extension and no subprotocol."""

    def __init__(self) -> None:
        self.request: Request | None = None
        """The upgrade request, once it is complete."""
        self.frames = 0
        """Frames received so far, which measure the cost of a peer's bytes."""
        self.has_output = False
        """Something other than plain messages happened: check `request`, `open`, `end_reason` and `output` again."""
        self.other_frames: Counter[str] = Counter()
        """Frames received that no call needs, by their names in RFC 6455: ``ping``, ``binary``, …"""
        self._protocol = ServerProtocol(max_size=MAX_MESSAGE)
        self._live = False  # accepted, and not finished yet
        self._tail = b""  # the start of a frame that is not complete yet
        self._fragments: list[bytes] = []
        self._decoder: codecs.IncrementalDecoder | None = None  # checks a fragmented text message
        self._requested = 0
        self._failed = False

    @property
    def open(self) -> bool:
        """Whether the connection is between the 101 and the first close frame of either side."""
        return self._protocol.state is State.OPEN

    @property
    def answers_pings(self) -> bool:
        """Whether silence means that the peer is gone: it has answered a ping before."""
        return self.other_frames["pong"] > 0

    @property
    def finished(self) -> bool:
        """Whether further bytes are discarded: the connection was refused, has failed or is closed."""
        return self._protocol.eof_sent

    @property
    def refusal(self) -> tuple[str, str]:
        """The reason and a detail of a request that is no valid upgrade. Neither has any of the peer's own words."""
        match self._protocol.handshake_exc:
            case InvalidUpgrade():
                return "no_upgrade", ""
            case InvalidMethod():
                return "bad_request", "its method is not GET"
            case InvalidProtocol():
                return "bad_request", "it speaks HTTP/1.0"
            case InvalidHeader(name=name):
                return "bad_request", f"the header {name} is missing or wrong"
            case _:
                return "bad_request", "this is no HTTP request, or one beyond the limits"

    @property
    def end_reason(self) -> str:
        """``peer_closed``, ``peer_broke_protocol`` or ``peer_lost`` once the peer ended the connection; else empty."""
        broken = self._protocol.parser_exc
        if broken is not None or self._failed:
            return "peer_lost" if isinstance(broken, EOFError) else "peer_broke_protocol"
        return "peer_closed" if self._protocol.close_rcvd is not None else ""

    def receive(self, data: bytes) -> list[bytes]:
        """Take bytes from the peer; return the messages that they complete."""
        if self._live:
            return self._receive_frames(self._tail + data if self._tail else data)
        if self.request is None and not self.finished:
            data = self._receive_request(data)
        if self.finished:
            self._protocol.receive_data(data)  # which discards them
        else:
            self._tail += data  # frames sent early wait for the answer to the request
        return []

    def receive_eof(self) -> None:
        """Note that the peer sends no more bytes."""
        self.has_output = True
        self._protocol.receive_eof()

    def accept(self) -> bool:
        """Answer the request with 101, or with an error if it is invalid; return whether the connection is open."""
        if self.request is not None and not self.finished:
            self._protocol.send_response(self._protocol.accept(self.request))
        self._live = self.open
        return self._live

    def refuse(self, status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer the request with an HTTP error."""
        plain = {"Content-Type": "text/plain; charset=utf-8"}
        self.answer(status, f"{text}\n".encode(), plain | dict(headers or {}))

    def answer(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer the request with a page. ``headers`` must give its content type."""
        self.has_output = True
        response: Response = self._protocol.reject(status, "")
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            response.headers.pop(name, None)
            response.headers[name] = value
        response.body = b"" if self.request is not None and self.request.method == "HEAD" else body
        self._protocol.send_response(response)

    def send(self, data: bytes, *, binary: bool = False) -> None:
        """Send a message, of text unless ``binary``, if the connection is open."""
        if self.open:
            self.has_output = True
            self._protocol.send_binary(data) if binary else self._protocol.send_text(data)

    def ping(self) -> None:
        """Send a ping; the pong is counted in `other_frames`."""
        if self.open:
            self.has_output = True
            self._protocol.send_ping(b"")

    @property
    def close_received(self) -> Close | None:
        """The code and reason of the peer's close frame."""
        return self._protocol.close_rcvd

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake, if none runs. ``reason`` is cut to the 123 bytes of a close frame."""
        if self.open:
            self.has_output = True
            self._protocol.send_close(code, reason.encode()[:123].decode(errors="ignore"))

    def output(self) -> list[bytes]:
        """Take the bytes to send; an empty item stands for the end of the stream."""
        self.has_output = False
        return self._protocol.data_to_send()

    def _receive_request(self, data: bytes) -> bytes:
        """Feed the request line by line; return the bytes behind it, which the protocol must not see."""
        protocol = self._protocol
        self.has_output = True
        self._requested += len(data)
        if self._requested > MAX_REQUEST:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too long.")
        while data and not protocol.events and not self.finished:
            cut = data.find(b"\n") + 1 or len(data)
            protocol.receive_data(data[:cut])
            data = data[cut:]
        if isinstance(protocol.handshake_exc, InvalidMessage):
            protocol.writes.insert(0, _BAD_REQUEST)  # websockets closes without an answer
        for event in protocol.events_received():
            if isinstance(event, Request):
                event.path = _origin_form(event.path)
                self.request = event
        return data

    def _receive_frames(self, data: bytes) -> list[bytes]:
        """Process the whole frames of ``data`` and keep the rest for later."""
        messages: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= 2:
            if end - at > _MEDIUM.size and not self._fragments:  # the frames of a call, in half the time
                first, second, length, mask = _MEDIUM.unpack_from(data, at)
                body = at + _MEDIUM.size
                if first == _PLAIN and second == _MASKED_MEDIUM and body + length <= end:
                    self.frames += 1
                    at = body + length
                    message = apply_mask(data[body:at], mask)
                    if message.isascii() or self._is_utf8(message):
                        messages.append(message)
                        continue
                    return messages
            violation = _violation(data[at], data[at + 1], in_message=bool(self._fragments))
            if violation:
                self.frames += 1
                self._fail(1002, violation)
                return messages
            length = data[at + 1] - 0x80  # the highest bit marks a masked frame
            body = at + 6
            if length == 126:
                body = at + 8
                length = int.from_bytes(data[at + 2 : at + 4], "big")
            elif length == 127:
                body = at + 14
                length = int.from_bytes(data[at + 2 : at + 10], "big")
            # The protocol refuses a message that is too long by its announced length.
            too_long = length > MAX_MESSAGE and body - 4 <= end
            stop = end if too_long else body + length
            if stop > end or (body > end and not too_long):
                break
            self.frames += 1
            if data[at] == _PLAIN and not too_long:
                message = apply_mask(data[body:stop], data[body - 4 : body])
                if not message.isascii() and not self._is_utf8(message):
                    return messages
                messages.append(message)
            else:
                messages += self._receive_other(data[at:stop])
                if self.finished:
                    self._live = False
                    return messages
            at = stop
        self._tail = data[at:]
        return messages

    def _receive_other(self, frame: bytes) -> list[bytes]:
        """Let the protocol handle a frame of any kind."""
        self.has_output = True
        if frame[0] & 0x0F == Opcode.CLOSE:
            self._protocol.current_size = None  # RFC 6455, 5.4 and 5.5.1: a control frame may come between fragments
        self._protocol.receive_data(frame)
        messages = []
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                continue
            self.other_frames[event.opcode.name.lower()] += 1
            if event.opcode in _DATA:
                if event.opcode is Opcode.TEXT:
                    self._decoder = _utf8_decoder()
                if self._decoder is not None and not self._is_utf8(bytes(event.data), self._decoder, event.fin):
                    break
                self._fragments.append(bytes(event.data))
                if event.fin:
                    messages.append(b"".join(self._fragments))
                    self._fragments.clear()
                    self._decoder = None
                elif len(self._fragments) >= MAX_FRAGMENTS:
                    self._fail(1009, f"more than {MAX_FRAGMENTS} fragments")
        return messages

    def _is_utf8(self, data: bytes, decoder: codecs.IncrementalDecoder | None = None, final: bool = True) -> bool:
        """Return whether a text message, or the next fragment of one, is valid; fail the connection if it is not."""
        try:
            (decoder or _utf8_decoder()).decode(data, final)
        except UnicodeDecodeError as error:
            self._fail(1007, error.reason)
            return False
        return True

    def _fail(self, code: int, reason: str) -> None:
        """Send a close frame and the end of the stream, because the peer broke the protocol."""
        self.has_output = self._failed = True
        self._live = False
        self._protocol.fail(code, reason)


def _origin_form(target: str) -> str:
    """Return path and query of a request's target, which may be absolute (RFC 9112, 3.2.2): ``http://host/path?query``."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https", "ws", "wss"):
        return target
    authority = len(rest.partition("/")[0].partition("?")[0])
    path = rest[authority:]
    return path if path.startswith("/") else f"/{path}"


def _violation(first: int, second: int, *, in_message: bool) -> str:
    """Return what the first two bytes of a client's frame break, in the words of `websockets`; empty when legal."""
    opcode = first & 0x0F
    if opcode not in _OPCODES:
        return "invalid opcode"
    if not second & 0x80:
        return "incorrect masking"
    if first & 0x70:
        return "reserved bits must be 0"
    if opcode & 0x08:
        if second & 0x7F > _MAX_CONTROL:
            return "control frame too long"
        return "" if first & 0x80 else "fragmented control frame"
    if in_message and opcode != Opcode.CONT:
        return "expected a continuation frame"
    return "" if in_message or opcode != Opcode.CONT else "unexpected continuation frame"
