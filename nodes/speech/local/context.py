"""Decode a short utterance together with the speech just before it, which improves its text.

A model that gets "Fail again." alone has no context. So a short utterance that closely follows another one is decoded
together with it, and the words known from before are removed. If the model writes those words differently this time,
the new words cannot be separated, and the utterance is decoded alone. Measurements: docs/decisions/0020.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from flowcore.speech import DECODER_RATE, Decoded
from nodes.speech.local.segmenter import Segment
from nodes.speech.word_match import continuation

MAX_PAUSE_SECONDS = 1.0  # between two utterances, each with some silence around it
MAX_CONTEXT_SECONDS = 10.0  # of audio that is decoded again
MAX_TOTAL_SECONDS = 20.0  # of both: a decoder takes up to 30


@dataclass(frozen=True, eq=False)
class Context:
    """Audio, s16 at 16 kHz, its ``text``, and its end on the flow's clock in samples."""

    samples: NDArray[np.int16]
    text: str
    end: int

    @classmethod
    def after(cls, before: Context | None, segment: Segment, text: str) -> Context | None:
        """Return the context for the utterance after ``segment``, with ``before`` if both are short enough."""
        own = cls(segment.samples, text, segment.end)
        if before is not None and len(before.samples) + len(segment.samples) <= MAX_CONTEXT_SECONDS * DECODER_RATE:
            both = np.concatenate((before.samples, segment.samples))
            own = cls(both, f"{before.text} {text}", segment.end)
        return own if own.text.strip() and len(own.samples) <= MAX_CONTEXT_SECONDS * DECODER_RATE else None

    def leads_to(self, segment: Segment) -> bool:
        """Whether the segment closely follows this context."""
        pause, together = segment.start - self.end, len(self.samples) + len(segment.samples)
        return pause <= MAX_PAUSE_SECONDS * DECODER_RATE and together <= MAX_TOTAL_SECONDS * DECODER_RATE

    def words_after(self, decoded: Decoded) -> Decoded | None:
        """Return the words of ``decoded`` after those of this context, with times from its end.

        None if ``decoded`` begins with other words or has no more.
        """
        text = continuation(self.text, decoded.text)
        if not text:
            return None
        new = text.split()
        words = tuple(word.moved(-len(self.samples) / DECODER_RATE) for word in decoded.words[-len(new) :])
        if words:  # the first one may be written in another way
            words = (replace(words[0], text=new[0]), *words[1:])
        known = [word.confidence for word in words if word.confidence is not None]
        confidence = fmean(known) if known else decoded.confidence
        return replace(decoded, text=text, words=words, confidence=confidence)
