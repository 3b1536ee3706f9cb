"""Conformance suites for speech engines: pytest runs their tests in a class that inherits from one of them.

- `StreamingConformance`: for a `flowcore.speech.Streamer`
- `DecoderConformance`: for a `flowcore.speech.Decoder`
- `TranscribeHarness`: one `transcribe` node of one call, for tests of an engine's own
"""

from nodes.speech.testing.decoding import DecoderConformance, word_error_rate
from nodes.speech.testing.fault_injection import FaultInjector, StreamFault
from nodes.speech.testing.harness import TranscribeHarness, to_chunks
from nodes.speech.testing.streaming import SpokenWord, StreamingConformance, random_words

__all__ = [
    "DecoderConformance",
    "FaultInjector",
    "SpokenWord",
    "StreamFault",
    "StreamingConformance",
    "TranscribeHarness",
    "random_words",
    "to_chunks",
    "word_error_rate",
]
