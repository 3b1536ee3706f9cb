"""Statistics of one party's audio and sequence numbers over all messages, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

from nodes.audio.g711 import RATE
from nodes.ringcx.messages import Media

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
    """The media of one perspective."""

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0
        self.first_seq = self.last_seq = 0
        self.steps = Tally()
        self.sizes = Tally()
        self.pauses: list[float] = []
        self._first_at = self._last_at = self._paused = 0.0

    @property
    def seconds(self) -> float:
        """The length of the audio."""
        return self.bytes / RATE

    def receive(self, media: Media, now: float) -> None:
        """Add one message that arrived at ``now``, in seconds."""
        if self.count:
            self.steps.add(media.seq - self.last_seq)
            silence = now - self._last_at
            if silence >= MIN_PAUSE:
                self._paused += silence
                self.pauses = [*self.pauses, silence][:MAX_VALUES]
        else:
            self.first_seq, self._first_at = media.seq, now
        self.count += 1
        self.bytes += len(media.data)
        self.sizes.add(len(media.data))
        self.last_seq, self._last_at = media.seq, now

    @property
    def pace(self) -> float | None:
        """Seconds of audio in a second, without pauses; None while that is uncertain."""
        took = self._last_at - self._first_at - self._paused
        usual = self.sizes.usual
        return (self.bytes - usual) / RATE / took if took > 0.5 and isinstance(usual, int) else None

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
