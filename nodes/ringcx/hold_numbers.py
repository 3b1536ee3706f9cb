"""Sequence numbers of a party whose holds are sent as empty Media: the numbers of a hold are no lost packets."""

from __future__ import annotations


class HoldNumbers:
    """Leaves out the numbers of a hold: at least two empty messages in equal steps, followed by audio a step later."""

    def __init__(self) -> None:
        self._skipped = 0  # numbers that belonged to holds
        self._last: int | None = None  # of a run of empty messages
        self._step = 0
        self._length = 0

    def empty(self, seq: int) -> None:
        """Note an empty message."""
        step = 0 if self._last is None else seq - self._last
        if step <= 0:
            self._length = 1
        elif step == self._step:
            self._length += 1
        else:
            self._length = 2
        self._last, self._step = seq, step

    def audio(self, seq: int) -> int:
        """Return the number of a message with audio."""
        if self._length >= 2 and self._last is not None and seq - self._last == self._step:
            self._skipped += self._length * self._step
        self._last, self._length = None, 0
        return seq - self._skipped
