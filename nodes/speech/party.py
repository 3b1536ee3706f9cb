"""What one party has been heard to say so far: numbers its utterances, and measures how late their texts are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from flowcore import Audio, Text, Word

ARRIVALS = 4096  # chunks whose arrival is remembered: 80 s of 20 ms each


class Party:
    """The transcript of one party, on the flow's clock; ``now`` gives monotonic seconds.

    ``take`` hands over what came since. Each interim text is replaced by later ones until a final one comes.
    """

    def __init__(self, track: str, now: Callable[[], float]) -> None:
        self.track = track
        self.now = now
        self._utterance = 0
        self._shown = ""  # the interim text that the final one will replace
        self._out: list[Text] = []
        self._arrivals: deque[tuple[float, float]] = deque(maxlen=ARRIVALS)  # where a chunk ended, and when it came

    def arrived(self, chunk: Audio) -> None:
        """Remember when this audio came."""
        self._arrivals.append((chunk.end / chunk.rate, self.now()))

    def interim(
        self, start: float, end: float, text: str, words: tuple[Word, ...] = (), confidence: float | None = None
    ) -> None:
        """What the open utterance sounds like so far; the same as before is not said again."""
        if text and text != self._shown:
            self._shown = text
            lag = self._lag(end)
            self._out.append(Text(self.track, start, end, text, False, self._utterance, confidence, words, lag))

    def final(
        self, start: float, end: float, text: str, words: tuple[Word, ...] = (), confidence: float | None = None
    ) -> None:
        """What the open utterance was. Without words it only takes back what was shown."""
        if text or self._shown:
            lag = self._lag(end)
            self._out.append(Text(self.track, start, end, text, True, self._utterance, confidence, words, lag))
            self._next(end)

    def gap(self, start: float, end: float, reason: str) -> None:
        """Nobody will know what was said from ``start`` to ``end``."""
        self._out.append(Text(self.track, start, end, "", True, self._utterance, gap=reason))
        self._next(end)

    def take(self) -> list[Text]:
        """What came since, in order."""
        out, self._out = self._out, []
        return out

    def _next(self, end: float) -> None:
        self._utterance += 1
        self._shown = ""
        while self._arrivals and self._arrivals[0][0] < end:
            self._arrivals.popleft()

    def _lag(self, end: float) -> float | None:
        """Seconds since the audio at ``end`` arrived; None where that is no longer known."""
        for position, when in self._arrivals:
            if position >= end - 1e-6:
                return self.now() - when
        return None
