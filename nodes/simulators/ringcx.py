"""Many RingCX calls at real-time pace, at a fraction of what they cost the receiver.

    python -m nodes.simulators.ringcx --calls 200 --seconds 10 ws://127.0.0.1:3333/ [--together] [--json]

Each call sends both parties' 20 ms messages, 50 times a second, over a socket of its own: 10 ms apart, or in one
`send` (``--together``), which is cheaper for both sides. The WebSocket frames are built before the start, with a mask
of zeros, so that a number can be written into a frame in place. Calls are spread evenly over the slot, as calls of the
world are.

The audio of call n is known from its number (`nodes.simulators.known_audio`), which is also its ``callId``:
``load-000007``. With ``--stamps`` one message of the agent in ten begins with the time it was sent (`flowcore.stamps`).
Exit code: 0 all calls were sent whole and in time, 1 not.
"""

from __future__ import annotations

import base64
import json
import select
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from flowcore import stamps
from nodes.simulators.known_audio import CHUNK, CYCLE, RATE, SLOT, STAMPED, TRACKS, excerpt, mulaw
from nodes.simulators.load import Result, call_id, command

STAGES = {
    "nodes.net.port": "socket",
    "nodes.net.connection": "socket",
    "nodes.net.websocket": "frame",
    "nodes.ringcx.call_state": "JSON",
    "nodes.ringcx.messages": "JSON",
}
"""What the listener's modules do, for the profile of `flowcore bench`."""

FIRST = 100_000_000
"""The first sequence number: all of a call then have nine digits, and frames their length."""

PERSPECTIVES = {"agent": "Participant", "customer": "Conference"}
GROUPS = 10
STAMP = stamps.LENGTH * 4 // 3  # characters of base64


def frame(text: bytes, opcode: int = 1) -> bytes:
    """A WebSocket frame of a client whose mask is all zeros, which leaves the text as it is."""
    size = len(text)
    head = bytes([0x80 | opcode, 0x80 | size]) if size < 126 else bytes([0x80 | opcode, 0xFE]) + size.to_bytes(2, "big")
    return head + bytes(4) + text


@dataclass(frozen=True)
class Layout:
    """Where things stand in a slot, which is the same in all slots of all calls."""

    size: int
    begins: tuple[int, ...]
    """Where the parties' frames begin, and where the slot ends."""
    digits: tuple[int, ...]
    """Where the sequence numbers stand."""
    stamp: int
    """Where the agent's audio begins."""


@dataclass(eq=False)
class Line:
    """One call's socket and its prebuilt frames, slot by slot, to be sent over and over."""

    number: int
    socket: socket.socket
    frames: bytearray
    layout: Layout
    left: bytes = b""  # what the kernel did not take yet
    open: bool = True
    answer: bytes = field(default=b"")

    def __post_init__(self) -> None:
        self.view = memoryview(self.frames)

    def put_stamped(self, data: memoryview, here: slice) -> int:
        """Send ``data`` with a stamp in ``frames[here]``."""
        audio = self.frames[here]
        self.frames[here] = base64.b64encode(stamps.stamp())
        try:
            return self.put(data)
        finally:
            self.frames[here] = audio  # when these frames come round again, the stamp would be a lie

    def put(self, data: bytes | memoryview) -> int:
        """Send as much as the kernel takes; returns how many bytes are left."""
        if self.left:
            data = self.left + data
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            self.left = b""
            return 0
        self.left = bytes(data[sent:])
        return len(self.left)


class Load:
    """N calls to one receiver."""

    def __init__(
        self,
        url: str,
        calls: int,
        seconds: float,
        *,
        together: bool = False,
        stamping: bool = False,
        settle: float = 0.0,
        timeout: float = 10.0,
        voices: Mapping[str, bytes] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "ws" or not parts.hostname:
            raise ValueError(f"{url} is no address like ws://127.0.0.1:3333/")
        self._address = (parts.hostname, parts.port or 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._together = together
        self._stamping = stamping
        self._settle = settle
        self._timeout = timeout
        self._voices = voices
        self._cycle = CYCLE if voices is None else max(1, round(seconds / SLOT))
        self.talking: Callable[[], None] = lambda: None
        """Called when all calls are up and the audio begins: for who measures the receiver."""
        self.result = Result(calls, seconds)

    def run(self) -> Result:
        """Call, talk and hang up. Raises `OSError` when nothing listens."""
        lines = [self._line(number) for number in range(self.result.calls)]
        self._shake_hands(lines)
        lines = [line for line in lines if line.open]
        time.sleep(self._settle)
        self.talking()
        self._talk(lines)
        self._hang_up([line for line in lines if line.open])
        return self.result

    def _line(self, number: int) -> Line:
        connection = socket.create_connection(self._address, timeout=self._timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._address[0]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        frames, begins, digits, stamp = bytearray(), [0], [0], 0
        audio = {track: self._audio(number, track) for track in TRACKS}
        for slot in range(self._cycle):
            begin = len(frames)
            begins, digits, stamp = [0], [], 0
            for track, perspective in PERSPECTIVES.items():
                data = base64.b64encode(audio[track][slot * CHUNK : (slot + 1) * CHUNK]).decode()
                head = f'{{"event":"Media","perspective":"{perspective}","sequenceId":"'
                whole = frame(f'{head}{FIRST}","media":"{data}"}}'.encode())
                digits.append(len(frames) - begin + whole.index(str(FIRST).encode()))
                stamp = stamp or len(frames) - begin + whole.index(data.encode())
                frames += whole
                begins.append(len(frames) - begin)
        return Line(number, connection, frames, Layout(begins[-1], tuple(begins), tuple(digits), stamp))

    def _audio(self, number: int, track: str) -> bytes:
        seconds = self._cycle * SLOT
        return mulaw(number, track, seconds) if self._voices is None else excerpt(self._voices[track], number, seconds)

    def _shake_hands(self, lines: list[Line]) -> None:
        """Read all answers, which come in one slot, then begin all calls."""
        for line in lines:
            try:
                while b"\r\n\r\n" not in line.answer:
                    data = line.socket.recv(4096)
                    if not data:
                        break
                    line.answer += data
            except OSError:
                pass
            line.socket.setblocking(False)
            if b" 101 " not in line.answer[:16]:
                self._lose(line)
                self.result.refused += 1
                continue
            metadata = {"callId": call_id(line.number), "sessionId": 1, "contentType": "audio/x-mulaw"}
            start = {"event": "Start", "metadata": metadata | {"sampleRateHertz": RATE}}
            connected = {"event": "Connected", "protocol": "AgentSession", "version": "1.0.0"}
            line.put(frame(json.dumps(connected).encode()) + frame(json.dumps(start).encode()))

    def _talk(self, lines: list[Line]) -> None:
        result = self.result
        slots = round(result.seconds / SLOT)
        groups = [lines[n::GROUPS] for n in range(GROUPS)]
        # (ticks after its group's turn, first and last party) of each send
        sends = [(0, 0, 2)] if self._together else [(0, 0, 1), (GROUPS // 2, 1, 2)]
        lags: list[float] = []
        cpu = time.process_time()
        begin = result.began = time.monotonic() + SLOT
        for tick in range(slots * GROUPS + sends[-1][0]):
            due = begin + tick * SLOT / GROUPS
            now = time.monotonic()
            if now < due:
                time.sleep(due - now)
            lags.append(time.monotonic() - due)
            for delay, first, last in sends:
                slot, group = divmod(tick - delay, GROUPS)
                if 0 <= slot < slots:
                    self._send(groups[group], slot, first, last)
        result.ended = time.monotonic()
        result.cpu_us_per_message = (time.process_time() - cpu) / max(result.messages, 1) * 1e6
        result.late(lags)

    def _send(self, lines: list[Line], slot: int, first: int, last: int) -> None:
        """One slot of parties ``first`` to ``last`` of some lines, which all look alike: little is left for each."""
        if not lines:
            return
        result, layout = self.result, lines[0].layout
        at = slot % self._cycle * layout.size
        number = b"%d" % (FIRST + slot)
        numbers = [slice(at + digit, at + digit + len(number)) for digit in layout.digits[first:last]]
        whole = slice(at + layout.begins[first], at + layout.begins[last])
        stamp = slice(at + layout.stamp, at + layout.stamp + STAMP)
        stamped = (-slot) % STAMPED if self._stamping and not first else -1
        sent = 0
        for line in lines:
            if not line.open:
                continue
            for here in numbers:
                line.frames[here] = number
            data = line.view[whole]
            try:
                left = line.put_stamped(data, stamp) if line.number % STAMPED == stamped else line.put(data)
            except OSError:
                self._lose(line)
                result.closed += 1
                continue
            result.blocked += left > 0
            sent += 1
        result.messages += sent * (last - first)
        result.bytes += sent * (whole.stop - whole.start)

    def _hang_up(self, lines: list[Line]) -> None:
        """A Stop for each party and the closing handshake, for all lines at once."""
        stop = {"event": "Stop", "metadata": {"duration": round(self.result.seconds)}}
        stops = frame(json.dumps(stop).encode()) * 2 + frame((1000).to_bytes(2, "big"), opcode=8)
        deadline = time.monotonic() + self._timeout
        for line in lines:
            try:
                line.socket.setblocking(True)
                line.socket.settimeout(self._timeout)
                line.socket.sendall(line.left + stops)
            except OSError:
                self._lose(line)
                self.result.closed += 1
        waiting = {line.socket.fileno(): line for line in lines if line.open}
        poll = select.poll()
        for number in waiting:
            poll.register(number, select.POLLIN)
        while waiting and time.monotonic() < deadline:
            for number, _event in poll.poll(100):
                line = waiting[number]
                if self._closed(line):
                    poll.unregister(number)
                    del waiting[number]
                    self._lose(line)
        for line in waiting.values():
            self._lose(line)
            self.result.unclosed += 1

    def _closed(self, line: Line) -> bool:
        """Read what came; whether the receiver has ended the stream, with a close frame or without one."""
        try:
            data = line.socket.recv(4096)
        except OSError:
            data = b""
        line.answer = (line.answer + data)[-4096:]
        if not data and b"\x88\x02\x03\xe8" not in line.answer:
            self.result.unclosed += 1
        return not data

    def _lose(self, line: Line) -> None:
        line.open = False
        line.socket.close()


def main() -> int:
    """The command line."""
    return command("Load a receiver with RingCX calls at real-time pace.", "ws://127.0.0.1:3333/", Load)


if __name__ == "__main__":
    sys.exit(main())
