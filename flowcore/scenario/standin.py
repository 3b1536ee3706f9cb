"""What takes the listener's place in a test: calls made of voices and messages, with faults on their way.

A listener that reads messages names a module as its ``rehearsal``. That has ``messages(attributes, voices)``: what a
peer would send for these voices (int16 at ``RATE``), as (second, party or nothing, message); ``Line(host, config)``:
the listener's end of a connection, see `Line`; and ``END``: why a call ends in which nothing went wrong. For a listener
that gives plain audio this module has all of that.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import Audio
from flowcore.errors import UsageError
from flowcore.formats import Format
from flowcore.graph.plan import Plan
from flowcore.impairment import DelayQueue
from flowcore.node import Host, Inlet, Listener
from flowcore.scenario.model import Fault, Input, Piece

Voices = Mapping[str, NDArray[np.int16]]
Sent = tuple[float, str, Any]
"""The second of the call in which a message comes, whose audio it carries (or nothing), and the message."""

RESET = object()
"""In the place of a message: the connection ends without a goodbye."""
PATIENCE = 10.0
"""Seconds that a call may take to end by itself after its last message."""
LOST = "peer_lost"
"""Why a call ends whose connection was reset."""
HUNG_UP = "peer_closed"
"""Why a call ends whose peer said nothing any more, and closed."""


class Line(Protocol):
    """A listener's end of one connection, without the connection."""

    @property
    def over(self) -> bool:
        """Whether the call has ended, on whichever side."""

    @property
    def paused(self) -> bool:
        """Whether the flow asks not to read on."""

    def receive(self, data: Any, now: float) -> None:
        """One message."""

    def poll(self, now: float) -> None:
        """Once a slot."""

    def end(self, reason: str) -> None:
        """No more messages."""


def rehearsed(plan: Plan, given: Input, calls: int, faults: Sequence[Fault], folder: Path) -> tuple[Plan, str]:
    """``plan`` with a listener that plays these calls, and why a call ends in which nothing goes wrong."""
    step = plan.listener
    module = getattr(step.cls, "rehearsal", "")
    form = step.gives[0]
    if module:
        rehearsal: Any = importlib.import_module(module)
    else:
        rehearsal = _Plain(form)
    voices = {
        track: sound(pieces, rehearsal.RATE, folder)
        for track, pieces in (("agent", given.agent), ("customer", given.customer))
        if pieces is not None
    }
    timelines = []
    for number in range(calls):
        attributes = {"call_id": f"call-{number + 1}", "session_id": str(number + 1), **given.attributes}
        sent = list(rehearsal.messages(attributes, voices)) if voices or not given.script else []
        sent += [(float(message.at), "", _bytes(message.send)) for message in given.script]
        sent.sort(key=lambda message: message[0])
        timelines.append(impaired(sent, faults))
    fields: dict[str, Any] = {
        "timelines": timelines,
        "connect": staticmethod(rehearsal.Line),
        "live": getattr(step.cls, "live", True),
        "name": step.cls.name,
        "form": form,
    }
    played = type("Rehearsed", (_Rehearsed,), fields)
    return replace(plan, nodes={**plan.nodes, step.name: replace(step, cls=played)}), rehearsal.END


def sound(pieces: Sequence[Piece], rate: int, folder: Path) -> NDArray[np.int16]:
    """The samples of one party. Raises `UsageError` for a file that cannot be read."""
    made = [np.zeros(0, np.int16)]
    for piece in pieces:
        if piece.silence is not None:
            made.append(np.zeros(piece.silence.samples(rate), np.int16))
        elif piece.tone is not None:
            at = np.arange(piece.tone.samples(rate))
            made.append(np.round(16384 * np.sin(2 * np.pi * piece.hertz * at / rate)).astype(np.int16))
        elif piece.wav is not None:
            made.append(_read(folder / piece.wav, rate))
    return np.concatenate(made)


def _read(path: Path, rate: int) -> NDArray[np.int16]:
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2 or file.getnchannels() != 1:
                raise UsageError(f"{path} is not mono of 16 bits: convert it")
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
            given = file.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    if given == rate:
        return samples
    import soxr

    return soxr.resample(samples, given, rate)  # type: ignore[no-any-return]


def _bytes(message: Any) -> bytes:
    return message.encode() if isinstance(message, str) else json.dumps(message).encode()


def impaired(sent: list[Sent], faults: Sequence[Fault]) -> list[Sent]:
    """Return the messages as they arrive when these faults meet them on their way, one fault after the other."""
    for fault in faults:
        if fault.reorder is not None:
            rng = random.Random(fault.reorder.seed)  # noqa: S311  # no secret
            window = float(fault.reorder.window)
            late = {id(message): message[0] + rng.uniform(0, window) for message in sent if message[1]}
            # Messages without audio stay where they are: a Stop does not overtake the audio before it.
            last = max(late.values(), default=0.0)
            sent = _delayed(sent, [late.get(id(m), max(m[0], last) if m[0] and not m[1] else m[0]) for m in sent])
        elif fault.duplicate is not None:
            every, count = fault.duplicate.every, 0
            doubled = []
            for message in sent:
                doubled.append(message)
                count += bool(message[1])
                if message[1] and count % every == 0:
                    doubled.append(message)
            sent = doubled
        elif fault.loss is not None:
            begin, end = float(fault.loss.at), fault.loss.at + fault.loss.length
            tracks = (fault.loss.track,) if fault.loss.track else ("agent", "customer")
            # The audio of [begin, end) is in messages that are sent after its last sample.
            sent = [m for m in sent if m[1] not in tracks or not begin < m[0] <= end + 1e-9]
        elif fault.freeze is not None:
            begin, end = float(fault.freeze.at), fault.freeze.at + fault.freeze.length
            sent = _delayed(sent, [end if begin <= m[0] < end else m[0] for m in sent])
        elif fault.reset is not None:
            at = float(fault.reset.at)
            sent = [*(m for m in sent if m[0] < at), (at, "", RESET)]
    return sent


def _delayed(sent: list[Sent], dues: Sequence[float]) -> list[Sent]:
    """Move each message to the time at which it is due."""
    queue = DelayQueue[Sent]()
    for message, due in zip(sent, dues, strict=True):
        queue.hold(message, due)
    return [(due, party, data) for due, (_, party, data) in queue.release()]


class _Rehearsed(Listener[Any]):
    """Plays calls, all at once, at the pace in which their messages come."""

    timelines: ClassVar[list[list[Sent]]]
    connect: ClassVar[Callable[[Host, Any], Line]]
    form: ClassVar[Format]

    @classmethod
    def gives(cls, config: Any) -> Format:
        return cls.form

    async def run(self, host: Host) -> None:
        await asyncio.gather(*(self._play(host, timeline) for timeline in self.timelines))

    async def _play(self, host: Host, timeline: list[Sent]) -> None:
        line = type(self).connect(host, self.config)
        cancel = host.every_slot(lambda: line.poll(host.now()))
        try:
            began = host.now()
            for at, _, data in timeline:
                await host.sleep(max(0.0, began + at - host.now()))
                while line.paused and not line.over:
                    await host.slot()
                if line.over:
                    return
                if data is RESET:
                    line.end(LOST)
                else:
                    line.receive(data, host.now())
            until = host.now() + PATIENCE
            while not line.over and host.now() < until:
                await host.slot()
            if not line.over:
                line.end(HUNG_UP)
        finally:
            cancel()


class _Plain:
    """The rehearsal of a listener of plain audio: what is sent are chunks."""

    END = "end"

    def __init__(self, form: Format) -> None:
        self.RATE = form.rate
        self._layout = form.layout
        self._attributes: dict[str, str] = {}

    def messages(self, attributes: Mapping[str, str], voices: Voices) -> Iterator[Sent]:
        yield 0.0, "", dict(attributes)
        longest = max(map(len, voices.values()), default=0)
        step = self.RATE // 50
        padded = {track: np.pad(samples, (0, longest - len(samples))) for track, samples in voices.items()}
        if self._layout == "stereo":
            silent = np.zeros(longest, np.int16)
            padded = {"": np.stack([padded.get(track, silent) for track in ("agent", "customer")], axis=1)}
        for at in range(0, longest, step):
            for track, samples in padded.items():
                chunk = Audio(samples[at : at + step], "s16", self.RATE, track, at)
                yield min(at + step, longest) / self.RATE, track or "agent", chunk
        yield longest / self.RATE, "", None

    @staticmethod
    def Line(host: Host, config: Any) -> Line:  # noqa: N802  # as the class of that name in a rehearsal module
        return _PlainLine(host)


class _PlainLine:
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
            self.end(_Plain.END)
        else:
            self._inlet.push(data)

    def poll(self, now: float) -> None:
        if self._inlet is not None and self._inlet.ended:
            self.over = True

    def end(self, reason: str) -> None:
        self.over = True
        if self._inlet is not None:
            self._inlet.end(reason)
