"""One stream of a track, and which words of its results count."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from flowcore import Word
from flowcore.speech import Result, Stream
from nodes.speech.word_match import normalized

WORD_TIME_TOLERANCE = 0.15  # seconds by which two streams may differ about the time of a word


@dataclass(eq=False)
class RolloverStream:
    """One stream and its stretch of the flow's clock: positions in samples, times in monotonic seconds."""

    begin: int
    opened: float
    stream: Stream = field(init=False)
    cut: int | None = None  # the stream's words count up to here
    stop: int | None = None  # audio is sent up to here
    drain_by: float = inf  # the deadline for the last results, once the stream was ended
    over: bool = False
    results: list[Result] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sent = self.begin
        self.last_event = self.opened


@dataclass(frozen=True)
class OwnWords:
    """The part of a result that counts for its stream; ``last`` is None if no word does. Times are in seconds."""

    text: str
    start: float
    end: float
    words: tuple[Word, ...]
    last: Word | None


class WordAttribution:
    """Attributes each word in the overlap of two streams to one of them, so that no word counts twice.

    A word belongs to the side of the cut that its middle lies on. A word that one stream said last does not count again
    for the next one, even if the two differ about its times.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._last: tuple[RolloverStream, Word] | None = None  # of the final texts so far, with its stream

    def own_words(self, stream: RolloverStream, result: Result, final_end: float) -> OwnWords:
        """Return the part of ``result`` that counts; the texts are final up to second ``final_end``."""
        begin = stream.begin / self._rate
        until = inf if stream.cut is None else stream.cut / self._rate
        since = max(self._last[1].end if self._last else -inf, final_end - WORD_TIME_TOLERANCE)
        end = begin + result.end
        start = final_end if result.start is None else begin + result.start
        timed = tuple(word.moved(begin) for word in result.words)
        words = timed or _spread(result.text, min(start, end), end)
        own = tuple(w for w in words if since < (w.start + w.end) / 2 < until and not self._repeats(stream, w))
        text = result.text if len(own) == len(words) else " ".join(word.text for word in own)
        if own:
            start, end = (own[0].start, own[-1].end) if timed else (max(start, since), min(end, until))
        return OwnWords(text if own else "", start, end, own if timed else (), own[-1] if own else None)

    def accept(self, stream: RolloverStream, own: OwnWords) -> None:
        """Remember the last word of a final text."""
        if own.last is not None:
            self._last = stream, own.last

    def _repeats(self, stream: RolloverStream, word: Word) -> bool:
        """Whether another stream's last word was this one, although the two differ about its times."""
        if self._last is None or self._last[0] is stream:
            return False
        last = self._last[1]
        return abs(word.start - last.start) < WORD_TIME_TOLERANCE and normalized(word.text) == normalized(last.text)


def _spread(text: str, start: float, end: float) -> tuple[Word, ...]:
    """Words with estimated times: all of the same length."""
    words = text.split()
    each = (end - start) / max(1, len(words))
    return tuple(Word(word, start + n * each, start + (n + 1) * each) for n, word in enumerate(words))
