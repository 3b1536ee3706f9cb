"""Play a recorded connection of RingCX as if it came now, at its pace or faster: what `flowcore doctor` saved."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic import Field

from flowcore import (
    CannotStart,
    Config,
    Duration,
    Format,
    Host,
    Listener,
    ListenerTools,
    Packet,
    Refused,
    Resource,
    node,
)
from nodes.ringcx import call_recording as recording
from nodes.ringcx.call_recording import Closed, Message, NotRecording, Opened
from nodes.ringcx.protocol import RATE
from nodes.ringcx.standin import Connection

LOOK = 0.25
"""Seconds of a recorded silence between two looks at the time limits of a call."""


class RingCXRecordingConfig(Config):
    """Which recording, and how fast."""

    path: str
    """The recording."""

    speed: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Times the pace of then; 0 is as fast as the flow takes it."""

    start: Duration = Duration("30s")
    """Time that the connection had to say Start, as in ``ringcx``."""

    idle: Duration = Duration("1h")
    """Time without any message after which the call is given up, as in ``ringcx``."""


@node("ringcx_recording")
class RingCXRecording(Listener[Packet, RingCXRecordingConfig]):
    """Play what one connection brought, once: the same messages with the same arrivals give the same bytes again.

    Everything goes the way of ``ringcx``, from the first message on, so its name in a graph is all that changes. Half
    a recording, whose writer was killed, ends like a connection that was lost.

    Out: ``Packet``, as from ``ringcx``, stamped with their arrivals of then.

    Example::

        call: {use: ringcx_recording, with: {path: ringcx-call.jsonl, speed: 0}}
    """

    live = False
    tools = ListenerTools(stand_in="nodes.ringcx.standin")

    @classmethod
    def gives(cls, config: RingCXRecordingConfig) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    async def run(self, host: Host) -> None:
        with self._open() as file:
            try:
                await self._play(host, recording.read(file))
            except NotRecording as error:
                raise self._wrong(f"{error}; `flowcore doctor` makes recordings") from error

    def _open(self) -> BinaryIO:
        try:
            return Path(self.config.path).expanduser().open("rb")
        except OSError as error:
            raise self._wrong(f"{error.strerror}; give the path of a recording") from error

    def _wrong(self, text: str) -> CannotStart:
        return CannotStart(f"cannot play {self.config.path}: {text}", field="path")

    async def _play(self, host: Host, events: Iterator[recording.Line]) -> None:
        request = next(events, None)
        if not isinstance(request, Opened):
            raise NotRecording("it is empty")
        then = _Then(host, request.at)
        try:
            line = Connection(cast(Host, then), self.config, request.path)
        except Refused:
            return  # the engine counts it
        began, reason = host.now(), "peer_lost"
        for at, together in groupby(events, key=lambda event: event.at):
            due = began + (at - request.at) / self.config.speed if self.config.speed else 0.0
            await host.sleep(max(0.0, due - host.now()))
            await self._pass(host, line, then, at)
            for event in together:  # what one look at the socket brought
                if line.over:
                    break
                if isinstance(event, Message):
                    line.receive(event.text.encode(), at)
                elif isinstance(event, Closed):
                    reason = event.reason
        line.end(reason)

    async def _pass(self, host: Host, line: Connection, then: _Then, at: float) -> None:
        """Let the time of then pass up to ``at``: the silence itself may end a call."""
        while not line.over:
            then.time = min(at, then.time + LOOK)
            line.poll(then.time)
            while line.paused and not line.over:
                await host.slot()
                line.poll(then.time)
            if then.time >= at:
                return


class _Then:
    """A host whose clock shows the time of the recording, and whose listener has no port."""

    def __init__(self, host: Host, time: float) -> None:
        self.time = time
        self._host = host

    def now(self) -> float:
        return self.time

    def parts(self) -> list[Resource]:
        return []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)
