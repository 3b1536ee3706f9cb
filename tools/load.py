"""Load a receiver with many RingCX calls at real-time pace, at a fraction of the receiver's own cost.

    python tools/load.py --calls 200 --seconds 10 ws://127.0.0.1:3333/ [--together] [--json]

Each call sends both parties' 20 ms messages, 50 times a second, over a socket of its own: 10 ms apart, or in one
`send` (``--together``), which is cheaper for any receiver that wakes up for each packet. The WebSocket frames are built
before the start, with a mask of zeros, so that a number can be written into a frame in place. Calls are spread evenly
over the slot, as calls of the world are.

The audio of call n is known: `mulaw(n, track, seconds)` gives the bytes and `samples(...)` what a recorder has to have
written, both computed from nothing but the call's number, which is also its ``callId``: ``load-000007``.
Exit code: 0 all calls were sent whole and in time, 1 not.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import select
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

RATE = 8000
CHUNK = 160
SLOT = 0.020
CYCLE = 97
"""Messages of one party after which its audio repeats: no multiple of anything that could hide a loss."""

FIRST = 100_000_000
"""The first sequence number: all of a call then have nine digits, and frames their length."""

TRACKS = {"agent": "Participant", "customer": "Conference"}
GROUPS = 10
LATE = 0.020
"""Seconds of its own lag at p99 above which this generator was no real-time sender."""


def mulaw(call: int, track: str, seconds: float) -> bytes:
    """The mu-law bytes that ``track`` of call number ``call`` says in its first ``seconds``."""
    seed = np.random.default_rng([call, list(TRACKS).index(track)])
    cycle = seed.integers(0, 256, CYCLE * CHUNK, dtype=np.uint8).tobytes()
    length = round(seconds / SLOT) * CHUNK
    return (cycle * (length // len(cycle) + 1))[:length]


def samples(call: int, track: str, seconds: float) -> NDArray[np.int16]:
    """What `mulaw` decodes to, by the formula of ITU-T G.711."""
    code = ~np.frombuffer(mulaw(call, track, seconds), np.uint8) & 0xFF
    size = (((code & 0x0F).astype(np.int32) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


def call_id(call: int) -> str:
    return f"load-{call:06d}"


def frame(text: bytes, opcode: int = 1) -> bytes:
    """A WebSocket frame of a client whose mask is all zeros, which leaves the text as it is."""
    size = len(text)
    head = bytes([0x80 | opcode, 0x80 | size]) if size < 126 else bytes([0x80 | opcode, 0xFE]) + size.to_bytes(2, "big")
    return head + bytes(4) + text


@dataclass
class Result:
    """What was sent, and what went wrong."""

    calls: int
    seconds: float
    messages: int = 0
    """Media messages that were handed to the kernel whole."""
    bytes: int = 0
    """Their bytes on the wire."""
    refused: int = 0
    """Calls that were not let in."""
    closed: int = 0
    """Calls that the receiver ended before their time."""
    blocked: int = 0
    """Sends that the kernel took only in part, as the receiver had not read."""
    unclosed: int = 0
    """Calls whose end was not answered with a closing handshake."""
    lag_p50_ms: float = 0.0
    lag_p99_ms: float = 0.0
    lag_max_ms: float = 0.0
    """How late this generator itself was."""
    cpu_us_per_message: float = 0.0
    """What a message cost this generator."""

    @property
    def fine(self) -> bool:
        wrong = self.refused + self.closed + self.blocked + self.unclosed
        return wrong == 0 and self.lag_p99_ms < LATE * 1000


@dataclass(eq=False)
class Line:
    """One call's socket and its prebuilt frames: ``CYCLE`` slots of ``slot_size`` bytes."""

    number: int
    socket: socket.socket
    frames: bytearray
    slot_size: int
    begins: tuple[int, ...]  # where the parties' frames begin in a slot, and where the slot ends
    digits: tuple[int, ...]  # where the sequence numbers stand
    left: bytes = b""  # what the kernel did not take yet
    open: bool = True
    answer: bytes = field(default=b"")

    def send(self, slot: int, number: bytes, first: int, last: int) -> int:
        """Send the frames of parties ``first`` to ``last``; returns how many bytes the kernel did not take."""
        at = slot % CYCLE * self.slot_size
        for offset in self.digits[first:last]:
            self.frames[at + offset : at + offset + 9] = number
        return self.put(memoryview(self.frames)[at + self.begins[first] : at + self.begins[last]])

    def put(self, data: bytes | memoryview) -> int:
        if self.left:
            data = self.left + data
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self.left = bytes(data[sent:]) if sent < len(data) else b""
        return len(self.left)


class Load:
    """N calls to one receiver."""

    def __init__(self, url: str, calls: int, seconds: float, *, together: bool = False, timeout: float = 10.0) -> None:
        self.talking: Callable[[], None] = lambda: None
        """Called when all calls are up and the audio begins: for who measures the receiver."""
        parts = urlsplit(url)
        if parts.scheme != "ws" or not parts.hostname:
            raise ValueError(f"{url} is no address like ws://127.0.0.1:3333/")
        self._address = (parts.hostname, parts.port or 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._together = together
        self._timeout = timeout
        self.result = Result(calls, seconds)

    def run(self) -> Result:
        """Call, talk and hang up. Raises `OSError` when nothing listens."""
        lines = [self._line(number) for number in range(self.result.calls)]
        self._shake_hands(lines)
        lines = [line for line in lines if line.open]
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
        frames, begins, digits = bytearray(), [0], [0]
        audio = {track: mulaw(number, track, CYCLE * SLOT) for track in TRACKS}
        for slot in range(CYCLE):
            begin = len(frames)
            begins, digits = [0], []
            for track, perspective in TRACKS.items():
                data = base64.b64encode(audio[track][slot * CHUNK : (slot + 1) * CHUNK]).decode()
                head = f'{{"event":"Media","perspective":"{perspective}","sequenceId":"'
                whole = frame(f'{head}{FIRST}","media":"{data}"}}'.encode())
                digits.append(len(frames) - begin + whole.index(str(FIRST).encode()))
                frames += whole
                begins.append(len(frames) - begin)
        return Line(number, connection, frames, begins[-1], tuple(begins), tuple(digits))

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
        slots = round(self.result.seconds / SLOT)
        groups = [lines[n::GROUPS] for n in range(GROUPS)]
        # (ticks after its group's turn, first and last party) of each send
        sends = [(0, 0, 2)] if self._together else [(0, 0, 1), (GROUPS // 2, 1, 2)]
        lags: list[float] = []
        cpu = time.process_time()
        begin = time.perf_counter() + SLOT
        for tick in range(slots * GROUPS + sends[-1][0]):
            due = begin + tick * SLOT / GROUPS
            now = time.perf_counter()
            if now < due:
                time.sleep(due - now)
            lags.append(time.perf_counter() - due)
            for delay, first, last in sends:
                slot, group = divmod(tick - delay, GROUPS)
                if 0 <= slot < slots:
                    number = b"%d" % (FIRST + slot)
                    for line in groups[group]:
                        if line.open:
                            self._send(line, slot, number, first, last)
        self.result.cpu_us_per_message = (time.process_time() - cpu) / max(self.result.messages, 1) * 1e6
        lags.sort()
        if lags:
            self.result.lag_p50_ms = lags[len(lags) // 2] * 1000
            self.result.lag_p99_ms = lags[math.ceil(len(lags) * 0.99) - 1] * 1000
            self.result.lag_max_ms = lags[-1] * 1000

    def _send(self, line: Line, slot: int, number: bytes, first: int, last: int) -> None:
        result = self.result
        try:
            blocked = line.send(slot, number, first, last)
        except OSError:
            self._lose(line)
            result.closed += 1
            return
        result.messages += last - first
        result.bytes += line.begins[last] - line.begins[first]
        result.blocked += blocked > 0

    def _hang_up(self, lines: list[Line]) -> None:
        """A Stop for each party and the closing handshake, for all lines at once."""
        stop = {"event": "Stop", "metadata": {"duration": round(self.result.seconds)}}
        stops = frame(json.dumps(stop).encode()) * 2 + frame((1000).to_bytes(2, "big"), opcode=8)
        deadline = time.perf_counter() + self._timeout
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
        while waiting and time.perf_counter() < deadline:
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
    parser = argparse.ArgumentParser(description="Load a receiver with RingCX calls at real-time pace.")
    parser.add_argument("url", help="the receiver, like ws://127.0.0.1:3333/")
    parser.add_argument("--calls", type=int, default=200, help="calls at once (default 200)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each call (default 10)")
    parser.add_argument("--together", action="store_true", help="both parties' messages in one send")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--announce", action="store_true", help='say "talking" on stderr when the audio begins')
    options = parser.parse_args()
    try:
        load = Load(options.url, options.calls, options.seconds, together=options.together)
        if options.announce:
            load.talking = lambda: print("talking", file=sys.stderr, flush=True)
        result = load.run()
    except (OSError, ValueError) as error:
        print(f"no call to {options.url}: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(asdict(result)))
    else:
        for name, value in asdict(result).items():
            print(f"{name:>20}  {value:.3f}" if isinstance(value, float) else f"{name:>20}  {value}")
    return 0 if result.fine else 1


if __name__ == "__main__":
    sys.exit(main())
