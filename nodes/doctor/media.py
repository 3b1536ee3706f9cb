"""What one party's audio is like, and what its numbers count: learnt from all messages, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

from nodes.audio.g711 import RATE
from nodes.ringcx.messages import Media

KINDS = 12
"""Different values that a `Tally` tells apart; in a call as it should be there are one or two."""

HOLD = 1.0
"""Seconds between two messages of a party from which that is told as a pause."""


class Tally:
    """How often each value came; from the `KINDS`-th on, new ones are counted together as ``other``."""

    def __init__(self) -> None:
        self.counts: Counter[Hashable] = Counter()

    def add(self, value: Hashable) -> None:
        self.counts[value if value in self.counts or len(self.counts) < KINDS else "other"] += 1

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
        """Length of the audio."""
        return self.bytes / RATE

    def hear(self, media: Media, now: float) -> None:
        """One message that arrived at ``now``, in seconds."""
        if self.count:
            self.steps.add(media.seq - self.last_seq)
            silence = now - self._last_at
            if silence >= HOLD:
                self._paused += silence
                self.pauses = [*self.pauses, silence][:KINDS]
        else:
            self.first_seq, self._first_at = media.seq, now
        self.count += 1
        self.bytes += len(media.data)
        self.sizes.add(len(media.data))
        self.last_seq, self._last_at = media.seq, now

    @property
    def pace(self) -> float | None:
        """Seconds of audio in a second, pauses left out; None as long as that cannot be told."""
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


def counting(parties: Mapping[str, Party], together: Tally) -> str:
    """What a sequence id counts: ``per perspective``, ``shared``, or why that cannot be told.

    ``together`` are the steps from message to message, whichever party's.
    """
    heard = [party for party in parties.values() if party.count > 1]
    if not heard:
        return "cannot be told: too few messages"
    strides = {party.steps.usual for party in heard}
    if strides == {1}:
        return "per perspective" if len(heard) > 1 else "cannot be told: only one party sent audio"
    if strides == {2} and (len(heard) == 1 or together.usual == 1):
        return "shared" if len(heard) > 1 else "in steps of 2: shared, or one party's is missing"
    return "neither per perspective nor shared: see the steps"
