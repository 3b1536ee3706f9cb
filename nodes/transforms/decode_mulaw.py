"""Decode mu-law, the telephone's encoding with one byte per sample, to linear 16-bit samples."""

from dataclasses import replace

from flowcore import Audio, Caps, Config, Emit, Format, Transform, node
from nodes.audio import g711


@node("decode_mulaw")
class DecodeMulaw(Transform[Audio, Audio]):
    """Decode ITU-T G.711 mu-law, exactly by the standard's tables.

    In: ``Audio``, mulaw, any rate and layout. Out: the same chunks as s16.

    Example::

        voices: {use: decode_mulaw, from: ordered}
    """

    caps = (Caps("audio", ("mulaw",)),)
    balanced = True

    @classmethod
    def gives(cls, config: Config, given: Format) -> Format:
        return replace(given, encoding="s16")

    @classmethod
    def converts(cls, wanted: Caps) -> Config | None:
        return cls.Config() if not wanted.encodings or "s16" in wanted.encodings else None

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        emit(Audio(g711.decode(chunk.samples), "s16", chunk.rate, chunk.track, chunk.start))
