"""Cut the audio of a realtime session into turns, and put the texts that come back into their order.

The session has no turn detection of its own (OpenAI's newest model allows none): each turn is cut where the engines on
this machine cut an utterance. Silence is not sent, so it costs nothing and no model makes up words for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock

import numpy as np

from flowcore import Audio, Encoding
from flowcore.audio import SAMPLE_BYTES, SILENCE
from flowcore.speech import DECODER_RATE, Result
from nodes.speech.engines.prompt import echoes
from nodes.speech.local.converter import Converter
from nodes.speech.local.segmenter import Segment, Segmenter, SegmentLimits
from nodes.speech.local.voice_detector import SileroDetector

LIMITS = SegmentLimits(threshold=0.3, pause=0.3, long_pause=0.7, enough=3.5, pre_roll=0.5, longest=12.0)
"""The pauses are shorter than those of `transcribe`, which has an utterance decoded in its pause already."""
MAX_TURN_SECONDS = 60.0  # then a turn ends although the voice goes on
MIN_TURN_SECONDS = 0.1  # OpenAI refuses to commit less ("buffer too small")
MAX_WORDS_PER_SECOND = 5.0  # of voice: faster words that are in the prompt were not spoken


@dataclass(eq=False)
class Turn:
    """One utterance; its times are in seconds from the stream's first sample."""

    start: float
    end: float
    """End of the voice; until the turn is committed, end of the audio so far."""
    voice: float = 0.0
    """Seconds of speech."""
    item: str = ""
    """The service's id of the turn."""
    text: str = ""
    final: bool = False


@dataclass(frozen=True)
class Piece:
    """Audio to append for a turn; ``last`` commits the turn."""

    turn: Turn
    audio: bytes
    last: bool


class TurnCutter:
    """Takes the audio of one stream, in an encoding at a rate in Hz, and yields the pieces to send."""

    def __init__(self, detector: SileroDetector, encoding: Encoding, rate: int) -> None:
        self._encoding = encoding
        self._rate = rate
        self._width = SAMPLE_BYTES[encoding]
        self._segmenter = Segmenter(detector, LIMITS)
        self._converter = Converter()
        self._held = bytearray()  # audio from ``_sent`` on
        self._sent = 0  # position in samples up to which audio was sent or dropped
        self._position = 0  # of the next audio, in samples
        self._turn: Turn | None = None
        self._turn_bytes = 0

    @property
    def quiet_to(self) -> float:
        """Seconds up to which nothing more will be sent; only the time before an open turn counts."""
        return self._sent / self._rate

    def push(self, audio: bytes) -> Iterator[Piece]:
        """Take the next audio."""
        samples = np.frombuffer(audio, np.uint8 if self._encoding == "mulaw" else "<i2")
        chunk = Audio(samples, self._encoding, self._rate, "", self._position)
        self._position = chunk.end
        self._held += audio
        yield from self._hear(self._converter.convert(chunk))

    def finish(self) -> Iterator[Piece]:
        """End the audio."""
        yield from self._hear(self._converter.finish())
        if (segment := self._segmenter.end()) is not None:
            yield self._add(segment, last=True)

    def _hear(self, chunks: Iterable[Audio]) -> Iterator[Piece]:
        segmenter = self._segmenter
        for chunk in chunks:
            for segment in segmenter.push(chunk):
                begun = self._turn.start if self._turn else segment.start / DECODER_RATE
                long = segment.end / DECODER_RATE - begun >= MAX_TURN_SECONDS
                yield self._add(segment, last=long or not segmenter.speaking)
            if segmenter.speaking:
                turn = self._open(segmenter.start)
                turn.end = segmenter.reaches / DECODER_RATE
                if audio := self._take(segmenter.reaches):
                    yield Piece(turn, audio, last=False)
            else:
                self._drop(segmenter.start)

    def _open(self, start: int) -> Turn:
        if self._turn is None:
            self._drop(start)
            self._turn = Turn(start / DECODER_RATE, start / DECODER_RATE)
            self._turn_bytes = 0
        return self._turn

    def _add(self, segment: Segment, *, last: bool) -> Piece:
        first = self._turn is None or self._turn.voice == 0.0
        turn = self._open(segment.start)
        spoken = segment.spoken
        turn.start = spoken[0] if first else turn.start
        turn.end = spoken[1]
        turn.voice += segment.voice_seconds
        audio = self._take(segment.end)
        if last:
            missing = round(MIN_TURN_SECONDS * self._rate) * self._width - self._turn_bytes
            audio += bytes([SILENCE[self._encoding]]) * max(0, missing)
            self._turn = None
        return Piece(turn, audio, last)

    def _take(self, end: int) -> bytes:
        """Return the audio up to position ``end`` of the segmenter."""
        size = max(0, self._scaled(end) - self._sent) * self._width
        audio = bytes(self._held[:size])
        self._turn_bytes += len(audio)
        self._drop(end)
        return audio

    def _drop(self, end: int) -> None:
        gone = max(0, self._scaled(end) - self._sent)
        del self._held[: gone * self._width]
        self._sent += gone

    def _scaled(self, position: int) -> int:
        return min(position * self._rate // DECODER_RATE, self._position)


class TurnTexts:
    """The turns without a final text, in order, and the results for them. Callable from several threads."""

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self._turns: list[Turn] = []
        self._lock = Lock()

    def __bool__(self) -> bool:
        return bool(self._turns)

    def add(self, turn: Turn) -> None:
        """Expect a text of this turn, unless it is known."""
        with self._lock:
            if turn not in self._turns:
                self._turns.append(turn)

    def committed(self, item: str) -> None:
        """Give the service's id to the first turn without one: turns are committed in their order."""
        with self._lock:
            self._find(item)

    def grown(self, item: str, words: str) -> Result | None:
        """Add words to a turn; return the interim result if it is the first turn's."""
        with self._lock:
            turn = self._find(item)
            if turn is None:
                return None
            turn.text += words
            first = turn is self._turns[0] and not turn.final and turn.text.strip()
            return Result(turn.text.strip(), False, turn.end, turn.start) if first else None

    def completed(self, item: str, text: str) -> list[Result]:
        """End a turn; return the final results that are due: a later turn waits for those before it."""
        with self._lock:
            turn = self._find(item)
            if turn is None:
                return []
            echo = echoes(self._prompt, text) and len(text.split()) > MAX_WORDS_PER_SECOND * turn.voice
            turn.text, turn.final = "" if echo else text.strip(), True
            due = []
            while self._turns and self._turns[0].final:
                first = self._turns.pop(0)
                due.append(Result(first.text, True, first.end, first.start))
            return due

    def _find(self, item: str) -> Turn | None:
        for turn in self._turns:
            if turn.item in (item, ""):
                turn.item = item
                return turn
        return None
