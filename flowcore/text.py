"""The chunk that carries words: a transcript event."""

from __future__ import annotations

import msgspec


class Word(msgspec.Struct, frozen=True, gc=False):
    """One word, with its times in seconds on the flow's clock."""

    text: str
    start: float
    end: float


class Text(msgspec.Struct, frozen=True, gc=False):
    """What one party said between ``start`` and ``end`` (seconds on the flow's clock).

    ``utterance`` numbers the utterances of one track from 0: an interim text (``final=False``) is replaced by every
    later text of the same track and utterance; exactly one of them is final. ``confidence`` lies between 0 and 1,
    or is None where the engine gives none; for an interim text it is the engine's stability.

    ``lag`` is measured: seconds from the arrival of the audio at ``end`` to this text. ``gap`` is empty, or says why
    there are no words of this stretch although somebody may have spoken (``untranscribed``): such a text is final and
    has no words.
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

    @property
    def seconds(self) -> float:
        """0: text has no length in a queue; borders bound it by count."""
        return 0.0
