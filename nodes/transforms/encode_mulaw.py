"""Encode linear 16-bit samples as mu-law, the telephone's encoding with one byte per sample."""

from dataclasses import replace

from flowcore import Audio, Caps, Config, Emit, Format, Transform, node
from nodes.audio import g711


@node("encode_mulaw")
class EncodeMulaw(Transform[Audio, Audio]):
    """Encode to ITU-T G.711 mu-law; decoded mu-law is restored bit by bit, except the code of negative zero.

    In: ``Audio``, s16, any rate and layout. Out: the same chunks as mulaw.

    Example::

        wire: {use: encode_mulaw, from: voices}
    """

    caps = (Caps("audio", ("s16",)),)
    balanced = True

    @classmethod
    def gives(cls, config: Config, given: Format) -> Format:
        return replace(given, encoding="mulaw")

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        emit(Audio(g711.encode(chunk.samples), "mulaw", chunk.rate, chunk.track, chunk.start))
