"""What was said just before, together with which an utterance of a few words is understood better.

A model that hears "Fail again." alone has nothing to go by. So a short utterance that follows shortly on another one is
decoded together with it, and the words that were said already are taken off. If they do not come out the same again,
nobody could tell what is new, and the utterance is decoded alone. What that is worth: docs/decisions/0020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nodes.speech.local.decoder import RATE
from nodes.speech.local.segmenter import Segment
from nodes.speech.words import after

NEAR = 1.0  # seconds between two utterances, each with some silence around it, up to which one leads to the next
LONGEST = 10.0  # seconds of audio that are heard again, at most
TOGETHER = 20.0  # seconds of both: a decoder takes up to 30


@dataclass(frozen=True, eq=False)
class Context:
    """Audio, s16 at 16 kHz, that was heard to say ``text``, and where it ended on the flow's clock."""

    samples: NDArray[np.int16]
    text: str
    end: int

    @classmethod
    def after(cls, before: Context | None, segment: Segment, text: str) -> Context | None:
        """What leads to the utterance after ``segment``; that before it counts as well, if all is short enough."""
        own = cls(segment.samples, text, segment.end)
        if before is not None and len(before.samples) + len(segment.samples) <= LONGEST * RATE:
            both = np.concatenate((before.samples, segment.samples))
            own = cls(both, f"{before.text} {text}", segment.end)
        return own if own.text.strip() and len(own.samples) <= LONGEST * RATE else None

    def leads_to(self, segment: Segment) -> bool:
        """Whether the segment follows shortly on it."""
        together = len(self.samples) + len(segment.samples)
        return segment.start - self.end <= NEAR * RATE and together <= TOGETHER * RATE

    def with_(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Both in one."""
        return np.concatenate((self.samples, samples))

    def rest(self, text: str) -> str:
        """Of a text of both, what is new; empty when this begins otherwise than before."""
        return after(self.text, text)
