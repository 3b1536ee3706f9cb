"""Mix both parties of a call into one channel."""

from dataclasses import replace

import numpy as np

from flowcore import Audio, Caps, Config, Emit, Format, Transform, node


class MixConfig(Config):
    """How loud."""

    halve: bool = False
    """Take half of each party, so that two who shout at once are not clipped; one alone is 6 dB softer then."""


@node("mix")
class Mix(Transform[Audio, Audio, MixConfig]):
    """Add the channels of stereo, sample by sample; what would be too loud for 16 bits is held at their limit.

    In: ``Audio``, s16, stereo (two parties' tracks are joined before it). Out: one channel, as the track ``mix``.

    Example::

        both: {use: mix, from: voices, with: {halve: true}}
    """

    caps = (Caps("audio", ("s16",), layouts=("stereo",)),)

    @classmethod
    def gives(cls, config: MixConfig, given: Format) -> Format:
        return replace(given, layout="mono")

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        total = chunk.samples.sum(axis=1, dtype=np.int32)
        if self.config.halve:
            total >>= 1
        mixed = np.clip(total, -32768, 32767).astype(np.int16)
        emit(Audio(mixed, "s16", chunk.rate, "mix", chunk.start))
