"""Put a call's packets in order and on the clock: the jitter buffer, between a transport and everything else."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from flowcore import PACKETS, Audio, Config, Duration, Emit, Format, Packet, Session, Transform, node
from flowcore.audio import TELEPHONE_RATE
from flowcore.events import DUPLICATE, HOLD_ENDED, LATE, EventType, Reason, ThrottledEventType
from nodes.jitterbuffer.next_in_line import NextInLine
from nodes.jitterbuffer.sequence import Sequencer
from nodes.jitterbuffer.timeline import LostAudio, Timeline
from nodes.jitterbuffer.track_clock import SAMPLE_SECONDS

MAX_CHUNK = Duration("2s")
"""The longest `ReorderConfig.chunk`. Longer packets come out whole: `interleave` waits for two of the longest chunks,
and the other party's packet may end as much later."""


class ReorderConfig(Config):
    """The times for which `Reorder` waits, and what counts as a pause."""

    window: Duration = Duration("120ms")
    """How long a missing packet is waited for, in media or in arrival time, whichever is over first."""

    chunk: Duration = Field(Duration("100ms"), le=MAX_CHUNK)
    """Length of the pieces that come out, up to 2 s; shorter ones only come before a pause and at the end, and packets
    of more than 2 s come out whole."""

    mode: Literal["wait", "skip_late"] = "wait"
    """``wait`` for a missing packet, or ``skip_late``: fill the gap at once and drop the packet if it comes."""

    hold: Literal["fill", "collapse"] = "fill"
    """``fill`` keeps a pause as long as it was, as a hole; ``collapse`` leaves it out."""

    pause: Duration = Duration("200ms")
    """The shortest time without packets, and without a missing number, that counts as a pause."""

    jump: Duration = Duration("5s")
    """A gap in the numbers longer than this is no loss: the sender has started to count anew."""


@node("reorder")
class Reorder(Transform[Packet, Audio, ReorderConfig]):
    """Order packets by their numbers, put silence for lost ones, drop repeats, and see pauses.

    In: ``Packet``, mu-law at 8 kHz, in any order within ``window``. Out: ``Audio``, mulaw, 8 kHz, as tracks, in pieces
    of ``chunk``, contiguous but for holes where a party, or the whole call, paused. The clock starts with the call's
    first packet. What the sequence numbers count (each track, or all) is learnt from the first ``window`` of a call.

    A party whose clock is slower than the other's gets a few milliseconds now and then.

    Only numbers, lengths and arrival stamps decide, so that a recorded call gives the same chunks again.

    Example::

        ordered: {use: reorder, from: call, with: {window: 120ms, chunk: 100ms}}
    """

    caps = (PACKETS,)
    balanced = True
    events = (
        HOLD_ENDED,
        EventType("drift_corrected", "A slow track got silence.", track="", seconds=""),
        EventType(
            "numbering_unknown",
            "Sequence numbers do not count packets: the order is that of arrival.",
            "warning",
            track="",
            scheme="What they seem to count: samples, milliseconds, steps of a number, repeating, constant, or "
            "irregular: neither the order of the packets nor their pace.",
        ),
        ThrottledEventType(
            "sequence_jumped",
            "Sequence numbers left some out although nothing was lost: no audio was sent in between.",
            "warning",
            track="",
            expected="The next number.",
            got="The new one.",
        ),
        ThrottledEventType(
            "sequence_restarted",
            "Sequence numbers started anew. A count that wraps at the same number is named once.",
            track="",
            expected="The next number.",
            got="The new one.",
        ),
    )
    reasons = (
        replace(LATE, lost=False),  # silence took its place, and counts as lost
        DUPLICATE,
        Reason("stray", "Packets with a sequence number that does not belong to the call."),
        Reason("lost", "Silence for packets that did not come."),
        Reason("drift", "Silence for a party whose clock is slow.", lost=False),
    )

    @classmethod
    def gives(cls, config: ReorderConfig, given: Format) -> Format:
        return Format("audio", "mulaw", TELEPHONE_RATE, "tracks")

    @classmethod
    def latency(cls, config: ReorderConfig, given: Format) -> float:
        return 2.5 * config.window + config.chunk  # a gap, then packets that may be late or come after a pause: settle

    @classmethod
    def typical_latency(cls, config: ReorderConfig, given: Format) -> float:
        return config.chunk

    def __init__(self, config: ReorderConfig) -> None:
        super().__init__(config)
        self._chunk = max(1, config.chunk.samples(TELEPHONE_RATE))
        self._pause = config.pause.samples(TELEPHONE_RATE)
        self._runs: dict[str, _Run] = {}
        self._emit: Emit[Audio]

    def open(self, session: Session) -> None:
        c = self.config
        settle = 1.5 * c.window  # longer than a gap holds back the track that would show it is no pause of all
        self._timeline = Timeline(
            self._place, self._cut_rests, self.report, pause=c.pause, settle=settle, collapse=c.hold == "collapse"
        )
        self._sequencer = Sequencer(self._timeline, self.report, window=c.window, wait=c.mode == "wait", jump=c.jump)

    def process(self, packet: Packet, emit: Emit[Audio]) -> None:
        run = self._runs.get(packet.track)
        if run is not None and run.parts and run.next is not None and run.next.accepts(packet):
            data = packet.data
            run.parts.append(data)
            run.end += len(data)
            if run.end - run.start >= run.piece:
                self._emit = emit
                self._complete(run)
            return
        self._emit = emit
        self._sequencer.push(packet)
        if run is not None:
            self._set_next(run)

    def _set_next(self, run: _Run) -> None:
        space = self._sequencer.space_of(run.track)
        if space is None:
            run.next = None
        elif run.next is None or run.next.space is not space:
            clock = self._timeline.clock_of(run.track)
            run.next = NextInLine(self._sequencer, space, clock)

    def flush(self, emit: Emit[Audio]) -> None:
        self._emit = emit
        self._sequencer.flush()
        self._timeline.flush()
        self._cut_rests()

    def close(self) -> None:
        # They refer back to this node: only the garbage collector could free that cycle.
        for part in ("_sequencer", "_timeline"):
            vars(self).pop(part, None)
        for run in self._runs.values():
            run.next = None

    def _place(self, track: str, start: int, data: bytes) -> None:
        if type(data) is LostAudio:
            self.report.gap("lost", track, start * SAMPLE_SECONDS, (start + len(data)) * SAMPLE_SECONDS)
        run = self._runs.get(track)
        if run is None:
            run = self._runs[track] = _Run(track, start, self._chunk)
        elif start != run.end:
            self._cut(run, 1)
            run.start = start
        run.parts.append(data)
        run.end = start + len(data)
        run.piece = len(data) if len(data) > MAX_CHUNK * TELEPHONE_RATE else self._chunk
        if run.end - run.start >= run.piece:
            self._complete(run)

    def _complete(self, run: _Run) -> None:
        """A piece is full."""
        self._cut(run, run.piece)
        for other in self._runs.values():
            if other.parts and run.end - other.end > self._pause:
                self._cut(other, 1)  # it paused: what it said so far must not wait until it goes on

    def _cut(self, run: _Run, least: int) -> None:
        """Emit pieces, and the rest as well if it has ``least`` samples."""
        data, emit = b"".join(run.parts), self._emit
        at = 0
        while len(data) - at >= least:
            length = min(run.piece, len(data) - at)
            emit(Audio(np.frombuffer(data, np.uint8, length, at), "mulaw", TELEPHONE_RATE, run.track, run.start))
            run.start += length
            at += length
        run.parts.clear()
        if at < len(data):
            run.parts.append(data[at:])

    def _cut_rests(self) -> None:
        for run in self._runs.values():
            self._cut(run, 1)


class _Run:
    """The audio of a track that is placed and not yet emitted: ``parts`` from ``start`` to ``end``, in samples.

    It comes out in pieces of ``piece`` samples.
    """

    __slots__ = ("end", "next", "parts", "piece", "start", "track")

    def __init__(self, track: str, start: int, piece: int) -> None:
        self.track = track
        self.piece = piece
        self.next: NextInLine | None = None
        self.start = self.end = start
        self.parts: list[bytes] = []
