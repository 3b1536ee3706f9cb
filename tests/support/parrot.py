"""A streaming engine in memory: hears the words that are encoded in bytes, and keeps a provider's manners and rules."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import Config, Encoding, Word
from flowcore.speech import Ended, Limits, Listener, Result, Stream, Streamer
from tools.fake_google.words import RATE, WordReader, mulaw

PATIENCE = 0.5  # seconds of silence that end an utterance
DELAY = 0.3  # seconds from audio to result


class ParrotConfig(Config):
    """How it behaves."""

    most_words: int = 8
    """Words in one final text."""

    times: bool = True
    """Tell the times of words."""


class Parrot(Streamer[ParrotConfig]):
    """Final results at pauses and every few words; an interim one for each word."""

    limits = Limits((("mulaw", RATE),), max_stream=300.0, idle=10.0, max_request=25_000)
    now = 0.0

    def open(self) -> None:
        self.streams: list[ParrotStream] = []

    def close(self) -> None:
        assert all(stream.over for stream in self.streams), "a stream was left open"

    def stream(self, encoding: Encoding, rate: int, listener: Listener) -> Stream:
        stream = ParrotStream(self, listener)
        self.streams.append(stream)
        return stream


class ParrotStream(Stream):
    def __init__(self, engine: Parrot, listener: Listener) -> None:
        self.engine = engine
        self.over = False
        self._listener = listener
        self._reader = WordReader()
        self._words: list[Word] = []
        self._due: deque[tuple[float, Result | Ended]] = deque()

    def send(self, audio: bytes) -> None:
        for word in self._reader.read(audio):
            self._words.append(Word(word.text, word.start / RATE, word.end / RATE))
            self._answer(final=len(self._words) >= self.engine.config.most_words)
        here = self._reader.position / RATE
        if self._words and here - self._reader.loud / RATE >= PATIENCE:
            self._answer(final=True, end=here)

    def end(self) -> None:
        self._answer(final=True, end=self._reader.position / RATE)
        self._later(Ended())

    def cancel(self) -> None:
        self.over = True

    def tick(self) -> None:
        while self._due and self._due[0][0] <= self.engine.now and not self.over:
            event = self._due.popleft()[1]
            self.over = isinstance(event, Ended)
            self._listener(event)

    def _answer(self, *, final: bool, end: float = -1.0) -> None:
        words = tuple(self._words)
        if not words:
            return
        text = " ".join(word.text for word in words)
        end = max(end, words[-1].end)
        told = words if self.engine.config.times and final else ()
        self._later(Result(text, final, end, None if told else words[0].start, told, 0.9))
        if final:
            self._words.clear()

    def _later(self, event: Result | Ended) -> None:
        self._due.append((self.engine.now + DELAY, event))


def speak(words: Any, seconds: float) -> NDArray[np.uint8]:
    """The words, encoded; 0xFF between them."""
    return np.frombuffer(mulaw([(w.number, w.start, w.end) for w in words], seconds), np.uint8)
