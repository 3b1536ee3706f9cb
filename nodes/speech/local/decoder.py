"""The contract of an engine that turns one utterance at a time into text: see `flowcore.speech`."""

from flowcore.speech import DecodeFailed, Decoder

RATE = 16000

__all__ = ["RATE", "DecodeFailed", "Decoder"]
