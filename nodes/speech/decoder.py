"""The contract of an engine that turns one utterance at a time into text: see `flowcore.speech`."""

from flowcore.speech import DecodeFailed, Decoder

__all__ = ["DecodeFailed", "Decoder"]
