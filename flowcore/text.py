"""Chunks of text: the events of a transcript."""

from __future__ import annotations

import msgspec


class Word(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One word, with its times in seconds on the flow's clock.

    ``confidence`` is the probability that the word is right, 0 to 1; None where the engine gives none.
    """

    text: str
    start: float
    end: float
    confidence: float | None = None

    def moved(self, seconds: float) -> Word:
        """Return the word with its times moved by ``seconds``."""
        return msgspec.structs.replace(self, start=self.start + seconds, end=self.end + seconds)


class Text(msgspec.Struct, frozen=True, gc=False):
    """The words of one party between ``start`` and ``end`` (seconds on the flow's clock).

    ``utterance`` numbers the utterances of one track from 0. Each later text of the same track and utterance replaces
    an interim text (``final=False``); exactly one text of an utterance is final.

    ``confidence`` is the expected share of right words, 0 to 1, or None where the engine gives none; for an interim
    text it is the engine's stability. A final text is ``uncertain`` if its confidence is too low to rely on its words.
    ``language`` is the spoken language as a code such as ``de``; empty where the engine does not identify it.

    ``lag`` is measured: seconds from the arrival of the audio at ``end`` to this text. ``gap`` is empty, or the reason
    why this stretch has no words although it may contain speech (``untranscribed``): such a text is final.
    """

    track: str
    start: float
    end: float
    text: str
    final: bool
    utterance: int
    confidence: float | None = None
    words: tuple[Word, ...] = ()
    lag: float | None = None
    gap: str = ""
    uncertain: bool = False
    language: str = ""

    @property
    def seconds(self) -> float:
        """0: text has no length in a queue; borders limit its count."""
        return 0.0
