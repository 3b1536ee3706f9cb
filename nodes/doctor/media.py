"""Statistics of one party's audio and sequence numbers over all messages, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

MAX_VALUES = 12
"""Different values that a `Tally` counts separately; a regular call has one or two."""

MIN_PAUSE = 1.0
"""Seconds between two messages of a party from which the gap counts as a pause."""


class Tally:
    """Counts each value; from the `MAX_VALUES`-th on, new values are counted together as ``other``."""

    def __init__(self) -> None:
        self.counts: Counter[Hashable] = Counter()

    def add(self, value: Hashable) -> None:
        self.counts[value if value in self.counts or len(self.counts) < MAX_VALUES else "other"] += 1

    @property
    def usual(self) -> Any:
        """The most frequent value; None before the first."""
        return self.counts.most_common(1)[0][0] if self.counts else None

    def facts(self) -> dict[str, int]:
        return {str(value): count for value, count in self.counts.most_common()}


class Party:
    """The media of one perspective, or of one segment."""

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0
        self.seconds = 0.0
        """The length of the audio."""
        self.first_seq = self.last_seq = 0
        self.steps = Tally()
        self.sizes = Tally()
        self.pauses: list[float] = []
        self._first_at = self._last_at = self._paused = self._first_length = 0.0

    def receive(self, seq: int, size: int, seconds: float, now: float) -> None:
        """Add one message of ``size`` bytes, which are ``seconds`` of audio, that arrived at ``now``."""
        if self.count:
            self.steps.add(seq - self.last_seq)
            silence = now - self._last_at
            if silence >= MIN_PAUSE:
                self._paused += silence
                self.pauses = [*self.pauses, silence][:MAX_VALUES]
        else:
            self.first_seq, self._first_at, self._first_length = seq, now, seconds
        self.count += 1
        self.bytes += size
        self.seconds = round(self.seconds + seconds, 6)
        self.sizes.add(size)
        self.last_seq, self._last_at = seq, now

    @property
    def pace(self) -> float | None:
        """Seconds of audio in a second, without pauses; None while that is uncertain."""
        took = self._last_at - self._first_at - self._paused
        return (self.seconds - self._first_length) / took if took > 0.5 else None

    def facts(self) -> dict[str, Any]:
        return {
            "messages": self.count,
            "seconds": round(self.seconds, 3),
            "bytes_per_message": self.sizes.facts(),
            "pace": None if self.pace is None else round(self.pace, 2),
            "pauses_s": [round(pause, 1) for pause in self.pauses],
            "first_sequence_id": self.first_seq,
            "last_sequence_id": self.last_seq,
            "steps": self.steps.facts(),
        }


def describe_segment_counting(segments: Mapping[str, Party], together: Tally) -> str:
    """Return what ``seq`` counts over gRPC, or why that is uncertain. ``together`` are the steps of all segments."""
    spoken = [segment for segment in segments.values() if segment.count > 1]
    if not spoken:
        return "unknown: too few messages"
    strides = {segment.steps.usual for segment in spoken}
    if len(spoken) > 1 and together.usual == 1 and strides != {1}:
        return "messages of all segments together"
    if len(strides) > 1:
        return "each segment in its own way: see the steps"
    (stride,) = strides
    longest = spoken[0].seconds / spoken[0].count
    units = {0: "nothing: the number stands still", 1: "messages", round(longest * 1000): "milliseconds"}
    unit = {spoken[0].sizes.usual: "bytes of audio"} | units
    return f"{unit.get(stride, f'in steps of {stride}')}" + ("" if stride == 0 else ", per segment")


def describe_counting(parties: Mapping[str, Party], together: Tally) -> str:
    """Return what a sequence id counts: ``per perspective``, ``shared``, or why that is uncertain.

    ``together`` are the steps between consecutive messages of either party.
    """
    spoken = [party for party in parties.values() if party.count > 1]
    if not spoken:
        return "unknown: too few messages"
    strides = {party.steps.usual for party in spoken}
    if strides == {1}:
        return "per perspective" if len(spoken) > 1 else "unknown: only one party sent audio"
    if strides == {2} and (len(spoken) == 1 or together.usual == 1):
        return "shared" if len(spoken) > 1 else "in steps of 2: shared, or one party's is missing"
    return "neither per perspective nor shared: see the steps"
