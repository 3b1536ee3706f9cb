"""Replaces a graph's listener by a stand-in that plays a test's calls, made of voices and messages.

A listener that reads messages names a module as ``tools.stand_in``, see `StandIn`. For a listener of plain audio,
`AudioStandIn` takes the place of such a module.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import TRACKS, Audio
from flowcore.errors import UsageError
from flowcore.formats import Format
from flowcore.graph.plan import Plan
from flowcore.listener import Host, Inlet, Listener
from flowcore.scenario.model import Fault, Input, Piece
from flowcore.scenario.outcome import read_wav
from flowcore.scenario.timeline import RESET, Sent, impaired

TONE_PEAK = 16384
"""Peak of a tone: half of full scale, -6 dB."""
Voices = Mapping[str, NDArray[np.int16]]

END_TIMEOUT = 10.0
"""Seconds in which a call must end by itself after its last message."""
PEER_LOST = "peer_lost"
"""Why a call ends whose connection was reset."""
PEER_CLOSED = "peer_closed"
"""Why a call ends whose peer closed the connection after its last message."""


class Connection(Protocol):
    """The listener's end of one connection, without the connection."""

    @property
    def over(self) -> bool:
        """Whether the call has ended, on either side."""

    @property
    def paused(self) -> bool:
        """Whether the flow asks not to read on."""

    def receive(self, data: Any, now: float) -> None:
        """Take one message."""

    def poll(self, now: float) -> None:
        """Do what is due; called once a slot."""

    def end(self, reason: str) -> None:
        """Take no more messages: the peer's end is gone."""


class StandIn(Protocol):
    """A module that a listener names as ``tools.stand_in``."""

    RATE: int
    """Sample rate of the voices in Hz."""
    END: str
    """Why a call ends in which nothing went wrong."""

    def messages(self, attributes: Mapping[str, str], voices: Voices) -> Iterator[tuple[float, str, Any]]:
        """A peer's messages for these voices, each with its second of the call, its track (or nothing) and its data."""

    def Connection(self, host: Host, config: Any) -> Connection:  # noqa: N802  # a class of the module
        """The listener's end of a new connection."""


def with_stand_in(plan: Plan, given: Input, calls: int, faults: Sequence[Fault], folder: Path) -> tuple[Plan, str]:
    """``plan`` with a listener that plays these calls, and why a call ends in which nothing goes wrong.

    ``folder`` is where the paths of WAV files begin. Raises `UsageError` for a WAV file that cannot be read.
    """
    listener = plan.listener
    module = listener.cls.tools.stand_in
    form = listener.gives[0]
    stand_in: StandIn = importlib.import_module(module) if module else AudioStandIn(form)
    voices = {
        track: _sound(pieces, stand_in.RATE, folder)
        for track, pieces in (("agent", given.agent), ("customer", given.customer))
        if pieces is not None
    }
    timelines = []
    for number in range(calls):
        attributes = {"call_id": f"call-{number + 1}", "session_id": str(number + 1), **given.attributes}
        spoken = stand_in.messages(attributes, voices) if voices or not given.script else ()
        sent = [Sent(*message) for message in spoken]
        sent += [Sent(float(message.at), "", _bytes(message.send)) for message in given.script]
        sent.sort(key=lambda message: message.at)
        timelines.append(impaired(sent, faults))
    fields = {name: getattr(listener.cls, name) for name in ("live", "name", "events", "reasons")}
    fields |= {"timelines": timelines, "connect": staticmethod(stand_in.Connection), "form": form}
    cls = type("StandInListener", (StandInListener,), fields)
    return plan.with_class(listener.name, cls), stand_in.END


def _sound(pieces: Sequence[Piece], rate: int, folder: Path) -> NDArray[np.int16]:
    """The samples of one party: its tones, silence and WAV files, piece after piece."""
    made = [np.zeros(0, np.int16)]
    for piece in pieces:
        if piece.silence is not None:
            made.append(np.zeros(piece.silence.samples(rate), np.int16))
        elif piece.tone is not None:
            at = np.arange(piece.tone.samples(rate))
            made.append(np.round(TONE_PEAK * np.sin(2 * np.pi * piece.hertz * at / rate)).astype(np.int16))
        elif piece.wav is not None:
            made.append(_voice(folder / piece.wav, rate))
    return np.concatenate(made)


def _voice(path: Path, rate: int) -> NDArray[np.int16]:
    try:
        given, samples = read_wav(path)
    except (OSError, EOFError, wave.Error) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    if samples.dtype != np.int16 or samples.shape[1] != 1:
        raise UsageError(f"{path} is not mono of 16 bits: convert it")
    if given == rate:
        return samples[:, 0]
    import soxr

    return soxr.resample(samples[:, 0], given, rate)  # type: ignore[no-any-return]


def _bytes(message: Any) -> bytes:
    return message.encode() if isinstance(message, str) else json.dumps(message).encode()


class StandInListener(Listener[Any]):
    """Plays all calls at once, each message at its time."""

    timelines: ClassVar[list[list[Sent]]]
    connect: ClassVar[Callable[[Host, Any], Connection]]
    form: ClassVar[Format]

    @classmethod
    def gives(cls, config: Any) -> Format:
        return cls.form

    async def run(self, host: Host) -> None:
        await asyncio.gather(*(self._play(host, timeline) for timeline in self.timelines))

    async def _play(self, host: Host, timeline: list[Sent]) -> None:
        connection = type(self).connect(host, self.config)
        cancel = host.every_slot(lambda: connection.poll(host.now()))
        try:
            began = host.now()
            for at, _, data in timeline:
                await host.sleep(max(0.0, began + at - host.now()))
                while connection.paused and not connection.over:
                    await host.slot()
                if connection.over:
                    return
                if data is RESET:
                    connection.end(PEER_LOST)
                else:
                    connection.receive(data, host.now())
            deadline = host.now() + END_TIMEOUT
            while not connection.over and host.now() < deadline:
                await host.slot()
            if not connection.over:
                connection.end(PEER_CLOSED)
        finally:
            cancel()


class AudioStandIn:
    """The stand-in for a listener of plain audio: its messages are chunks of 20 ms."""

    END = "end"

    def __init__(self, form: Format) -> None:
        self.RATE = form.rate
        self._layout = form.layout

    def messages(self, attributes: Mapping[str, str], voices: Voices) -> Iterator[tuple[float, str, Any]]:
        yield 0.0, "", dict(attributes)
        longest = max(map(len, voices.values()), default=0)
        step = self.RATE // 50
        padded = {track: np.pad(samples, (0, longest - len(samples))) for track, samples in voices.items()}
        if self._layout == "stereo":
            silent = np.zeros(longest, np.int16)
            padded = {"": np.stack([padded.get(track, silent) for track in TRACKS], axis=1)}
        for at in range(0, longest, step):
            for track, samples in padded.items():
                chunk = Audio(samples[at : at + step], "s16", self.RATE, track, at)
                yield min(at + step, longest) / self.RATE, track or "agent", chunk
        yield longest / self.RATE, "", None

    def Connection(self, host: Host, config: Any) -> Connection:  # noqa: N802  # as in a module
        return _AudioConnection(host)


class _AudioConnection:
    """Takes the attributes of a call, its chunks, and None for its end."""

    def __init__(self, host: Host) -> None:
        self.over = False
        self._host = host
        self._inlet: Inlet | None = None

    @property
    def paused(self) -> bool:
        return self._inlet is not None and self._inlet.paused and not self._inlet.ended

    def receive(self, data: Any, now: float) -> None:
        if self._inlet is None:
            self._inlet = self._host.accept(data)
        elif data is None:
            self.end(AudioStandIn.END)
        else:
            self._inlet.push(data)

    def poll(self, now: float) -> None:
        if self._inlet is not None and self._inlet.ended:
            self.over = True

    def end(self, reason: str) -> None:
        self.over = True
        if self._inlet is not None:
            self._inlet.end(reason)
