"""The protocol between the node `transcribe` and the drivers of speech engines, and the texts that drivers write."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Protocol

from msgspec.structs import replace

from flowcore import Audio, Emit, Report, Text, Word
from nodes.speech.local.segmenter import SegmentLimits

FLUSH_TIMEOUT = 8.0  # seconds after the last sample in which texts may still come; the engine's own deadline is 10 s
UNTRANSCRIBED = "untranscribed"  # the ``gap`` of a text for a stretch without a transcript
MAX_ARRIVALS = 4096  # chunks whose arrival is remembered: 80 s of 20 ms each


class Driver(Protocol):
    """Runs a speech engine for all tracks of one node: a `StreamingDriver` or an `UtteranceDriver`."""

    def push(self, chunk: Audio) -> None:
        """Take the next audio of its track; the node calls `collect` after this."""

    def change(self, limits: SegmentLimits, interim: float, phrases: tuple[str, ...]) -> None:
        """Take other settings: limits at once, phrases for the next utterance or stream."""

    def flush(self, by: float) -> None:
        """End all tracks. Audio without a final text at the monotonic time ``by`` is marked ``untranscribed``."""

    def busy(self) -> bool:
        """Whether texts are still to come after `flush`."""

    def awaits_results(self) -> bool:
        """Whether a thread or process still works on a text: `flowcore.node.Transform.awaits_results`."""

    def collect(self, emit: Emit[Text]) -> None:
        """Do the work that is due, emit the texts, and set the node's alarm for the next call."""

    def close(self) -> None:
        """Release all resources."""


class DriverHost(Protocol):
    """The part of the node that a driver uses."""

    report: Report

    def wake(self) -> None: ...
    def alarm(self, when: float, /) -> None: ...
    def now(self) -> float: ...
    def source_waits(self) -> bool: ...


class TrackTranscript:
    """The transcript of one track, on the flow's clock; ``now`` gives monotonic seconds.

    `take` returns the texts since the last `take`. Later texts replace an interim one until a final one comes. No text
    ends after the audio: providers round their times. A final text whose confidence is below ``uncertain_below`` is
    marked as uncertain.
    """

    def __init__(self, track: str, now: Callable[[], float], uncertain_below: float = 0.0) -> None:
        self.track = track
        self.now = now
        self.uncertain_below = uncertain_below
        self._utterance = 0
        self._interim = ""  # the interim text that the final one will replace
        self._out: list[Text] = []
        self._audio_end = inf  # second at which the audio ends that has arrived; not known before the first
        self._arrivals: deque[tuple[float, float]] = deque(maxlen=MAX_ARRIVALS)  # end of a chunk, time of its arrival

    def arrived(self, chunk: Audio) -> None:
        """Remember the arrival of this audio."""
        self._audio_end = chunk.end / chunk.rate
        self._arrivals.append((self._audio_end, self.now()))

    def interim(
        self, start: float, end: float, text: str, words: tuple[Word, ...] = (), confidence: float | None = None
    ) -> None:
        """Add the text of the open utterance so far, unless it is the same as before."""
        if text and text != self._interim:
            self._interim = text
            self._add(start, end, text, words, confidence, final=False)

    def final(
        self,
        start: float,
        end: float,
        text: str,
        words: tuple[Word, ...] = (),
        confidence: float | None = None,
        language: str = "",
    ) -> None:
        """Add the final text of the open utterance. An empty text only takes back the interim one."""
        if text or self._interim:
            self._add(start, end, text, words, confidence, language, final=True)
            self._next(end)

    def gap(self, start: float, end: float, reason: str) -> None:
        """Mark the stretch from ``start`` to ``end`` as not transcribed."""
        self._out.append(Text(self.track, start, end, "", True, self._utterance, gap=reason))
        self._next(end)

    def take(self) -> list[Text]:
        """Return the texts since the last call, in order."""
        out, self._out = self._out, []
        return out

    def _add(
        self,
        start: float,
        end: float,
        text: str,
        words: tuple[Word, ...],
        confidence: float | None,
        language: str = "",
        *,
        final: bool,
    ) -> None:
        last = self._audio_end
        if end > last:
            start, end = min(start, last), last
            words = tuple(replace(word, start=min(word.start, last), end=min(word.end, last)) for word in words)
        uncertain = final and bool(text) and confidence is not None and confidence < self.uncertain_below
        self._out.append(
            Text(
                self.track,
                start,
                end,
                text,
                final,
                self._utterance,
                confidence,
                words,
                self._lag(end),
                uncertain=uncertain,
                language=language,
            )
        )

    def _next(self, end: float) -> None:
        self._utterance += 1
        self._interim = ""
        while self._arrivals and self._arrivals[0][0] < end:
            self._arrivals.popleft()

    def _lag(self, end: float) -> float | None:
        """Seconds since the audio at ``end`` arrived; None if its arrival is no longer known."""
        for position, when in self._arrivals:
            if position >= end - 1e-6:
                return self.now() - when
        return None


class Transcripts(dict[str, TrackTranscript]):
    """The transcripts of one node by track; a missing one is made."""

    def __init__(self, now: Callable[[], float], uncertain_below: float) -> None:
        super().__init__()
        self._now = now
        self._uncertain_below = uncertain_below

    def change(self, uncertain_below: float) -> None:
        """Mark further final texts by another confidence."""
        self._uncertain_below = uncertain_below
        for transcript in self.values():
            transcript.uncertain_below = uncertain_below

    def __missing__(self, track: str) -> TrackTranscript:
        return self.setdefault(track, TrackTranscript(track, self._now, self._uncertain_below))
