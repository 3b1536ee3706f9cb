"""Many RingCX calls at real-time pace, at a fraction of what they cost the receiver.

    python -m nodes.simulators.ringcx --calls 200 --seconds 10 ws://127.0.0.1:3333/ [--together] [--json]

Each call sends both parties' messages of 20 ms, 50 times a second, over its own socket: 10 ms apart, or in one `send`
(``--together``), which costs both sides less. The WebSocket frames are built before the start, with a mask of zeros, so
that the sequence number can be written in place. Calls are spread evenly over the slot, as real calls are.

The audio of call n is known from its number (`nodes.simulators.known_audio`), which is also its ``callId``:
``load-000007``. With ``--stamps`` one message of the agent in ten begins with the time it was sent (`flowcore.stamps`).
Exit code: 0 if all calls were sent whole and in time, else 1.
"""

from __future__ import annotations

import base64
import select
import socket
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from flowcore import stamps
from flowcore.audio import TRACKS
from nodes.ringcx.call_sender import CallSender
from nodes.simulators.known_audio import CHUNK, SLOT, STAMP_EVERY
from nodes.simulators.load import LoadGenerator, Result, call_id, command

STAGES = {
    "nodes.net.port": "socket",
    "nodes.ringcx.listener": "socket",
    "nodes.net.connection": "socket",
    "nodes.net.websocket": "frame",
    "nodes.ringcx.call_state": "JSON",
    "nodes.ringcx.messages": "JSON",
}
"""Tasks of the listener's modules, for the profile of `flowcore bench`."""

FIRST_SEQUENCE = 100_000_000
"""The first sequence number. All numbers of a call have nine digits, so the length of a frame never changes."""

GROUPS = 10
"""Groups of calls, whose turns are spread over a slot."""
STAMP_LENGTH = stamps.LENGTH * 4 // 3  # characters of base64


def frame(text: bytes, opcode: int = 1) -> bytes:
    """Return a WebSocket frame of a client, with a mask of zeros: the text in it stays readable."""
    size = len(text)
    head = bytes([0x80 | opcode, 0x80 | size]) if size < 126 else bytes([0x80 | opcode, 0xFE]) + size.to_bytes(2, "big")
    return head + bytes(4) + text


@dataclass(frozen=True)
class Layout:
    """Offsets in the frames of one slot; the same in all slots of all calls."""

    size: int
    begins: tuple[int, ...]
    """Offsets of the frame of each party, and the end of the slot."""
    digits: tuple[int, ...]
    """Offsets of the sequence numbers."""
    stamp: int
    """Offset of the audio of the agent."""


@dataclass(eq=False)
class SimulatedCall:
    """The socket of a call and its prebuilt frames, slot by slot, which are sent over and over."""

    number: int
    socket: socket.socket
    sender: CallSender
    frames: bytearray
    layout: Layout
    unsent: bytes = b""  # bytes that the kernel did not take yet
    open: bool = True
    answer: bytes = b""

    def __post_init__(self) -> None:
        self.view = memoryview(self.frames)

    def put_stamped(self, data: memoryview, here: slice) -> int:
        """Send ``data`` with a stamp at ``frames[here]``; return the number of bytes that are left."""
        audio = self.frames[here]
        self.frames[here] = base64.b64encode(stamps.stamp())
        try:
            return self.put(data)
        finally:
            self.frames[here] = audio  # the frames are sent again later, when the stamp would be wrong

    def put(self, data: bytes | memoryview) -> int:
        """Send as much as the kernel takes; return the number of bytes that are left."""
        if self.unsent:
            data = self.unsent + data
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            self.unsent = b""
            return 0
        self.unsent = bytes(data[sent:])
        return len(self.unsent)


class Load(LoadGenerator):
    """Many calls over WebSocket to one receiver."""

    def __init__(self, url: str, calls: int, seconds: float, **options: Any) -> None:
        super().__init__(calls, seconds, **options)
        parts = urlsplit(url)
        if parts.scheme != "ws" or not parts.hostname:
            raise ValueError(f"{url} is not an address like ws://127.0.0.1:3333/")
        self._address = (parts.hostname, parts.port or 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def run(self) -> Result:
        calls = [self._connect(number) for number in range(self.result.calls)]
        self._shake_hands(calls)
        calls = [call for call in calls if call.open]
        time.sleep(self.settle)
        self.talking()
        self._talk(calls)
        self._hang_up([call for call in calls if call.open])
        return self.result

    def _connect(self, number: int) -> SimulatedCall:
        connection = socket.create_connection(self._address, timeout=self.timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._address[0]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        sender = CallSender({"call_id": call_id(number), "session_id": "1"})
        frames, begins, digits, stamp = bytearray(), [0], [0], 0
        audio = {track: self.audio(number, track) for track in TRACKS}
        for slot in range(self.cycle):
            begin = len(frames)
            begins, digits, stamp = [0], [], 0
            for track in TRACKS:
                data = audio[track][slot * CHUNK : (slot + 1) * CHUNK]
                whole = frame(sender.media(track, data, FIRST_SEQUENCE))
                digits.append(len(frames) - begin + whole.index(str(FIRST_SEQUENCE).encode()))
                stamp = stamp or len(frames) - begin + whole.index(base64.b64encode(data))
                frames += whole
                begins.append(len(frames) - begin)
        layout = Layout(begins[-1], tuple(begins), tuple(digits), stamp)
        return SimulatedCall(number, connection, sender, frames, layout)

    def _shake_hands(self, calls: list[SimulatedCall]) -> None:
        """Read the answer of each call and send its Start."""
        for call in calls:
            try:
                while b"\r\n\r\n" not in call.answer:
                    data = call.socket.recv(4096)
                    if not data:
                        break
                    call.answer += data
            except OSError:
                pass
            call.socket.setblocking(False)
            if b" 101 " not in call.answer[:16]:
                self._drop(call)
                self.result.refused += 1
                continue
            call.put(frame(call.sender.connected()) + frame(call.sender.start()))

    def _talk(self, calls: list[SimulatedCall]) -> None:
        result = self.result
        slots = round(result.seconds / SLOT)
        groups = [calls[n::GROUPS] for n in range(GROUPS)]
        # (ticks after its group's turn, first and last party) of each send
        sends = [(0, 0, 2)] if self.together else [(0, 0, 1), (GROUPS // 2, 1, 2)]
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
        result.set_lags(lags)

    def _send(self, calls: list[SimulatedCall], slot: int, first: int, last: int) -> None:
        """Send one slot of the parties ``first`` to ``last``; all calls have the same layout, so each costs little."""
        if not calls:
            return
        result, layout = self.result, calls[0].layout
        at = slot % self.cycle * layout.size
        number = b"%d" % (FIRST_SEQUENCE + slot)
        numbers = [slice(at + digit, at + digit + len(number)) for digit in layout.digits[first:last]]
        whole = slice(at + layout.begins[first], at + layout.begins[last])
        stamp = slice(at + layout.stamp, at + layout.stamp + STAMP_LENGTH)
        stamped = (-slot) % STAMP_EVERY if self.stamping and not first else -1
        sent = 0
        for call in calls:
            if not call.open:
                continue
            for here in numbers:
                call.frames[here] = number
            data = call.view[whole]
            try:
                left = call.put_stamped(data, stamp) if call.number % STAMP_EVERY == stamped else call.put(data)
            except OSError:
                self._drop(call)
                result.closed += 1
                continue
            result.blocked += left > 0
            sent += 1
        result.messages += sent * (last - first)
        result.bytes += sent * (whole.stop - whole.start)

    def _hang_up(self, calls: list[SimulatedCall]) -> None:
        """Send a Stop for each party and do the closing handshake, for all calls at once."""
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        close = frame((1000).to_bytes(2, "big"), opcode=8)
        deadline = time.monotonic() + self.timeout
        for call in calls:
            try:
                call.socket.setblocking(True)
                call.socket.settimeout(self.timeout)
                stop = frame(call.sender.stop(round(self.result.seconds), ended))
                call.socket.sendall(call.unsent + 2 * stop + close)
            except OSError:
                self._drop(call)
                self.result.closed += 1
        waiting = {call.socket.fileno(): call for call in calls if call.open}
        poll = select.poll()
        for number in waiting:
            poll.register(number, select.POLLIN)
        while waiting and time.monotonic() < deadline:
            for number, _event in poll.poll(100):
                call = waiting[number]
                if self._closed(call):
                    poll.unregister(number)
                    del waiting[number]
                    self._drop(call)
        for call in waiting.values():
            self._drop(call)
            self.result.unclosed += 1

    def _closed(self, call: SimulatedCall) -> bool:
        """Read from the call; return whether the receiver has ended the stream, with or without a close frame."""
        try:
            data = call.socket.recv(4096)
        except OSError:
            data = b""
        call.answer = (call.answer + data)[-4096:]
        if not data and b"\x88\x02\x03\xe8" not in call.answer:
            self.result.unclosed += 1
        return not data

    def _drop(self, call: SimulatedCall) -> None:
        call.open = False
        call.socket.close()


def main() -> int:
    """Run the command line; return the exit code."""
    return command("Load a receiver with RingCX calls at real-time pace.", "ws://127.0.0.1:3333/", Load)


if __name__ == "__main__":
    sys.exit(main())
