"""Many RingCX calls over gRPC at real-time pace: messages of 100 ms, a connection for each call.

    python -m nodes.simulators.ringcx_grpc --calls 200 --seconds 10 grpc://127.0.0.1:3333 [--together] [--json]

Each call sends both parties' messages ten times a second: 50 ms apart, or one right behind the other (``--together``).
Calls are spread evenly over the 100 ms. Their audio and the printed result are those of `nodes.simulators.ringcx`. This
generator costs about as much CPU as its receiver, because both use gRPC. With ``--stamps`` the agent's messages of one
call in five carry the time of sending, every second message.
Exit code: 0 if all calls were sent whole and in time, else 1.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from flowcore import stamps
from flowcore.audio import TRACKS
from nodes.ringcx.dialog_sender import CHUNK, METHOD, DialogSender
from nodes.simulators.known_audio import CHUNK as PACKET
from nodes.simulators.known_audio import RATE, STAMP_EVERY
from nodes.simulators.load import LoadGenerator, Result, call_id, command

STAGES = {
    "nodes.net.http2": "HTTP/2",
    "nodes.net.grpc_connection": "gRPC",
    "nodes.net.grpc_framing": "gRPC",
    "nodes.ringcx.grpc_peer": "gRPC",
    "nodes.ringcx.dialog_state": "protobuf",
}
"""Tasks of the listener's modules, for the profile of `flowcore bench`."""

PERIOD = CHUNK / RATE
SLOTS = CHUNK // PACKET
"""Slots of `known_audio`, of 20 ms each, in a message."""
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]


class Load(LoadGenerator):
    """Many calls over gRPC to one receiver."""

    def __init__(self, url: str, calls: int, seconds: float, **options: Any) -> None:
        super().__init__(calls, seconds, **options)
        scheme, _, target = url.partition("://")
        if scheme != "grpc" or ":" not in target:
            raise ValueError(f"{url} is not an address like grpc://127.0.0.1:3333")
        self._target = target.rstrip("/")
        self.apart = 0.0 if self.together else PERIOD / len(TRACKS)
        """Seconds between the two parties' messages."""
        self._lags: list[float] = []

    def run(self) -> Result:
        return asyncio.run(self._run())

    async def _run(self) -> Result:
        result = self.result
        channels = [grpc.aio.insecure_channel(self._target, OPTIONS) for _ in range(result.calls)]
        try:
            async with asyncio.timeout(self.timeout):
                await channels[0].channel_ready()
        except TimeoutError:
            raise OSError("nothing listens there") from None
        calls = [_SimulatedCall(number, channel, self) for number, channel in enumerate(channels)]
        calls = [call for call in await asyncio.gather(*(call.start() for call in calls)) if call is not None]
        result.refused = result.calls - len(calls)
        await asyncio.sleep(self.settle)
        self.talking()
        cpu = time.process_time()
        result.began = time.monotonic() + PERIOD
        await asyncio.gather(*(call.talk(result.began + PERIOD * n / len(calls)) for n, call in enumerate(calls)))
        result.ended = time.monotonic()
        result.cpu_us_per_message = (time.process_time() - cpu) / max(result.messages, 1) * 1e6
        await asyncio.gather(*(call.hang_up() for call in calls if call.open))
        for channel in channels:
            await channel.close()
        result.set_lags(self._lags)
        return result

    async def wait(self, due: float) -> None:
        """Sleep until ``due``, and record the lag."""
        now = time.monotonic()
        if now < due:
            await asyncio.sleep(due - now)
        self._lags.append(max(0.0, time.monotonic() - due))


class _SimulatedCall:
    """One call to the receiver."""

    def __init__(self, number: int, channel: Any, load: Load) -> None:
        self.open = True
        self._number = number
        self._load = load
        self._stream = channel.stream_unary(METHOD)
        self._rpc: Any = None
        self._sender = DialogSender({"call_id": call_id(number), "session_id": "1"})
        self._audio = {track: load.audio(number, track) for track in TRACKS}

    async def start(self) -> _SimulatedCall | None:
        self._rpc = self._stream()
        with suppress(grpc.RpcError, asyncio.InvalidStateError):
            for message in (self._sender.dialog_init(), *map(self._sender.segment_start, TRACKS)):
                await self._rpc.write(message)
            return self
        return None

    async def talk(self, begin: float) -> None:
        """Send the audio of the call; return early when the receiver ends it."""
        load, result = self._load, self._load.result
        length = round(result.seconds * RATE)
        for message in range(math.ceil(length / CHUNK)):
            for which, track in enumerate(TRACKS):
                if not which or load.apart:
                    await load.wait(begin + message * PERIOD + which * load.apart)
                audio = self._audio[track]
                at = message * CHUNK % len(audio)
                size = min(CHUNK, length - message * CHUNK)
                data = audio[at : at + size] + audio[: max(0, at + size - len(audio))]
                # In the same slots as over WebSocket, where one begins a message of the agent.
                if load.stamping and not which and (message * SLOTS + self._number) % STAMP_EVERY == 0:
                    data = stamps.stamp() + data[stamps.LENGTH :]
                media = self._sender.media(track, data)
                try:
                    await self._rpc.write(media)
                except (grpc.RpcError, asyncio.InvalidStateError):
                    self.open = False
                    result.closed += 1
                    return
                result.messages += 1
                result.bytes += len(media)

    async def hang_up(self) -> None:
        try:
            for track in TRACKS:
                await self._rpc.write(self._sender.segment_stop(track))
            await self._rpc.done_writing()
            await self._rpc
        except (grpc.RpcError, asyncio.InvalidStateError):
            self._load.result.unclosed += 1


if __name__ == "__main__":
    sys.exit(command("Load a receiver with RingCX's gRPC calls at real-time pace.", "grpc://127.0.0.1:3333", Load))
