"""Play a captured or recorded RingCX connection, at its own pace or faster."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, cast

from pydantic import Field

from flowcore import (
    CannotStart,
    Config,
    Duration,
    Format,
    Host,
    Listener,
    ListenerTools,
    LocalPath,
    Packet,
    Refused,
    node,
)
from flowcore.errors import UsageError
from nodes.audio.g711 import RATE
from nodes.ringcx import call_recording as recording
from nodes.ringcx.call_attributes import ATTRIBUTES, CALL_IDS, PERSONAL_IDS
from nodes.ringcx.call_guard import CHECK_INTERVAL
from nodes.ringcx.call_recording import BadRecording, Closed, Message, Opened
from nodes.ringcx.events import GRPC_EVENTS, GRPC_REASONS, WEBSOCKET_EVENTS, WEBSOCKET_REASONS
from nodes.ringcx.standin import Connection as WebSocketConnection

if TYPE_CHECKING:
    from nodes.ringcx.grpc_standin import Connection as GrpcConnection

    ListenersEnd = WebSocketConnection | GrpcConnection


class RingCXRecordingConfig(Config):
    """Recording and speed."""

    path: LocalPath
    """File with the recording."""

    speed: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Times the recorded pace; 0 is as fast as the flow takes it."""

    start: Duration = Duration("30s")
    """Time that the connection has to send Start (gRPC: DialogInit), as in ``ringcx``."""

    idle: Duration = Duration("1h")
    """Time without any message after which the call is ended, as in ``ringcx``."""

    bot: Literal["agent", "bot"] = "agent"
    """The track of bots over gRPC, as in ``ringcx``."""

    max_speed: ClassVar[float] = math.inf  # what was recorded is not held back again


@node("ringcx_recording")
class RingCXRecording(Listener[Packet, RingCXRecordingConfig]):
    """Play one recorded call once: the same messages with the same arrivals give the same output.

    It plays recordings of both transports. The messages pass through the code of ``ringcx``, so a graph changes
    only the node's name. An incomplete recording, whose writer was killed, ends like a lost connection.

    Out: ``Packet``, as from the listener, stamped with their recorded arrivals.

    Example::

        call: {use: ringcx_recording, with: {path: ringcx-call.jsonl, speed: 0}}
    """

    live = False
    attributes = ATTRIBUTES
    call_ids = CALL_IDS
    personal = PERSONAL_IDS
    events = tuple(dict.fromkeys((*WEBSOCKET_EVENTS, *GRPC_EVENTS)))
    reasons = tuple(dict.fromkeys((*WEBSOCKET_REASONS, *GRPC_REASONS)))
    tools = ListenerTools(stand_in="nodes.ringcx.standin", player="nodes.sources.ringcx_recording")

    @classmethod
    def gives(cls, config: RingCXRecordingConfig) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    async def run(self, host: Host) -> None:
        with self._open() as file:
            try:
                await self._play(host, recording.read(file))
            except BadRecording as error:
                raise self._error(f"{error}; `flowcore capture` makes recordings") from error

    def _open(self) -> BinaryIO:
        try:
            return Path(self.config.path).expanduser().open("rb")
        except OSError as error:
            raise self._error(f"{error.strerror}; give the path of a recording") from error

    def _error(self, text: str) -> CannotStart:
        return CannotStart(f"cannot play {self.config.path}: {text}", field="path")

    async def _play(self, host: Host, events: Iterator[recording.Record]) -> None:
        request = next(events, None)
        if not isinstance(request, Opened):
            raise BadRecording("it is empty")
        recorded = _RecordedTime(host, request.at)
        try:
            connection, to_bytes = self._connect(cast(Host, recorded), request)
        except Refused:
            return  # the engine counts the refusal
        began, reason = host.now(), "peer_lost"
        for at, together in groupby(events, key=lambda event: event.at):
            due = began + (at - request.at) / self.config.speed if self.config.speed else 0.0
            await host.sleep(max(0.0, due - host.now()))
            await self._advance(host, connection, recorded, at)
            for event in together:  # messages of one read
                if connection.over:
                    break
                if isinstance(event, Message):
                    connection.receive(to_bytes(event.text) if event.data is None else event.data, at)
                elif isinstance(event, Closed):
                    reason = event.reason
        connection.end(reason)

    def _connect(self, host: Host, request: Opened) -> tuple[ListenersEnd, Callable[[str], bytes]]:
        """Return the listener's end of the connection, and how to turn a recorded text into a message.

        Raises `Refused`.
        """
        if request.transport == "websocket":
            return WebSocketConnection(host, self.config, request.path), str.encode
        from nodes.ringcx.dialog_text import to_bytes
        from nodes.ringcx.grpc_standin import Connection

        return Connection(host, self.config), to_bytes

    async def _advance(self, host: Host, connection: ListenersEnd, recorded: _RecordedTime, at: float) -> None:
        """Let the recorded time pass up to ``at``: the silence itself may end a call."""
        while not connection.over:
            recorded.time = min(at, recorded.time + CHECK_INTERVAL)
            connection.poll(recorded.time)
            while connection.paused and not connection.over:
                await host.slot()
                connection.poll(recorded.time)
            if recorded.time >= at:
                return


class _RecordedTime:
    """A host whose clock shows the recording's time, and whose listener serves no pages."""

    def __init__(self, host: Host, time: float) -> None:
        self.time = time
        self._host = host

    def now(self) -> float:
        return self.time

    def resources(self) -> tuple[()]:
        return ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)


def play(path: Path, config: Any, speed: float) -> tuple[type[RingCXRecording], RingCXRecordingConfig, datetime]:
    """Return what plays a recording for a graph whose listener has ``config``: a `flowcore.scenario.replay.Player`.

    Raises `UsageError` for a file that is no recording.
    """
    try:
        with path.open("rb") as file:
            first = next(recording.read(file), None)
    except (OSError, BadRecording) as error:
        raise UsageError(f"{path} is no recording of a call: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(first, Opened):
        raise UsageError(f"{path} is empty: `flowcore capture` makes recordings")
    shared = RingCXRecordingConfig.model_fields.keys() & dict(config).keys() - {"path", "speed"}
    values = {name: getattr(config, name) for name in shared}
    made = RingCXRecordingConfig(path=LocalPath(str(path.resolve())), speed=speed, **values)
    return RingCXRecording, made, datetime.fromisoformat(first.recorded)
