"""Join the two parties of a call into stereo chunks: agent left, customer right, aligned on the flow's clock."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from flowcore import Audio, Caps, Config, Duration, Emit, Format, Live, Transform, node
from flowcore.audio import SILENCE, TRACKS
from flowcore.events import LATE, UNKNOWN_TRACK, Reason

ABSENT_WAIT = 2.0
"""Seconds that a party may be ahead of one that is absent: as long as one that joins may take to be placed."""

ABSENT_AFTER = 20.0
"""Seconds without audio after which a party is absent."""


class InterleaveConfig(Config):
    """Patience with a late party."""

    wait: Live[Duration] = Duration("5s")
    """How far one party may be ahead of the other before the other's audio becomes silence: at most 2 s where the other
    has sent nothing for 20 s, and at least the length of two chunks."""


@node("interleave")
class Interleave(Transform[Audio, Audio, InterleaveConfig]):
    """Join both parties into one stereo stream by the positions of their chunks, not by their order of arrival.

    In: ``Audio``, s16 or mulaw, as tracks, or two mono branches. Out: stereo, agent left, customer right.
    A stretch comes out once both parties have it. A party that lags behind by more than ``wait`` is silent there; its
    late audio of that stretch is dropped and counted. A hole in both parties is a hole in the output.

    Example::

        both: {use: interleave, from: voices, with: {wait: 5s}}
    """

    caps = (Caps("audio", ("s16", "mulaw"), layouts=("tracks", "mono")),)
    balanced = True
    waits = "wait"
    reasons = (LATE, UNKNOWN_TRACK, Reason("track_missing", "Silence for a party that has no audio there.", lost=False))

    @classmethod
    def gives(cls, config: InterleaveConfig, given: Format) -> Format:
        return replace(given, layout="stereo")

    @classmethod
    def converts(cls, wanted: Caps) -> InterleaveConfig | None:
        return InterleaveConfig() if "stereo" in wanted.layouts else None

    @classmethod
    def latency(cls, config: InterleaveConfig, given: Format) -> float:
        return config.wait

    @classmethod
    def typical_latency(cls, config: InterleaveConfig, given: Format) -> float:
        return 0.0  # the other party's audio comes at the same time

    def __init__(self, config: InterleaveConfig) -> None:
        super().__init__(config)
        self._waiting: tuple[deque[Audio], ...] = (deque(), deque())  # per channel, in order, from _position on
        self._ends = [0, 0]  # end of each channel, in samples on the flow's clock
        self._position = 0  # end of the output
        self._longest = 0  # samples of the longest chunk

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        if chunk.track not in TRACKS:
            self.report.dropped("unknown_track", chunk.seconds)
            return
        channel = TRACKS.index(chunk.track)
        start, frames, ends = chunk.start, len(chunk.samples), self._ends
        if frames > self._longest:
            self._longest = frames
        late = max(self._position, ends[channel]) - start
        if late > 0:
            cut = min(late, frames)
            self.report.dropped("late", cut / chunk.rate, chunks=int(cut == frames))
            self.report.gap("late", chunk.track, start / chunk.rate, (start + cut) / chunk.rate)
            chunk = chunk.replace(samples=chunk.samples[late:], start=start + late)
            start, frames = start + late, frames - late
        if frames <= 0:
            return
        ends[channel] = end = start + frames
        own, other = self._waiting[channel], self._waiting[1 - channel]
        if not own and len(other) == 1 and other[0].start == start and len(other[0].samples) == frames:
            self._emit_pair(channel, chunk, other.popleft(), emit)  # the usual case, in half the time
            return
        own.append(chunk)
        # The audio of both channels, or that for which the other channel is too late; usually nothing new yet.
        limit = max(min(ends), end - self._max_lead(ends[1 - channel], chunk.rate))
        if limit > self._position:
            self._emit_until(limit, emit)

    def _max_lead(self, other: int, rate: int) -> int:
        """Return how far a channel may be ahead of one that ends at ``other``, in samples."""
        wait: float = self.config.wait
        if self._position > other + ABSENT_AFTER * rate:
            wait = min(wait, ABSENT_WAIT)
        return max(round(wait * rate), 2 * self._longest)

    def flush(self, emit: Emit[Audio]) -> None:
        self._emit_until(max(self._ends), emit)

    def _emit_pair(self, channel: int, chunk: Audio, other: Audio, emit: Emit[Audio]) -> None:
        samples = chunk.samples
        frames = np.empty((len(samples), 2), samples.dtype)
        frames[:, channel] = samples
        frames[:, 1 - channel] = other.samples
        self._position = self._ends[channel]
        emit(Audio(frames, chunk.encoding, chunk.rate, "", chunk.start))

    def _emit_until(self, limit: int, emit: Emit[Audio]) -> None:
        left, right = self._waiting
        while first := [queue[0] for queue in self._waiting if queue and queue[0].start < limit]:
            start = min(chunk.start for chunk in first)
            end = start
            for chunk in sorted((*left, *right), key=lambda chunk: chunk.start):
                if chunk.start > end:
                    break  # a hole in both channels
                end = max(end, chunk.end)
            emit(self._cut(start, min(end, limit), first[0]))
        self._position = max(self._position, limit)

    def _cut(self, start: int, end: int, like: Audio) -> Audio:
        """Take ``start`` to ``end`` out of both queues, with silence where a channel has no audio."""
        frames = np.empty((end - start, 2), like.samples.dtype)
        for channel, queue in enumerate(self._waiting):
            done = start
            while queue and queue[0].start < end:
                chunk = queue.popleft()
                if chunk.end > end:
                    queue.appendleft(chunk.replace(samples=chunk.samples[end - chunk.start :], start=end))
                    chunk = chunk.replace(samples=chunk.samples[: end - chunk.start])
                self._fill(frames, channel, done - start, chunk.start - start, like)
                frames[chunk.start - start : chunk.end - start, channel] = chunk.samples
                done = chunk.end
            self._fill(frames, channel, done - start, end - start, like)
        return Audio(frames, like.encoding, like.rate, "", start)

    def _fill(self, frames: np.ndarray, channel: int, start: int, end: int, like: Audio) -> None:
        if end > start:
            frames[start:end, channel] = SILENCE[like.encoding]
            self.report.filled("track_missing", (end - start) / like.rate)
