"""Mix both parties of a call into one channel."""

from dataclasses import replace

import numpy as np

from flowcore import Audio, Caps, Config, Emit, Format, Live, Transform, node


class MixConfig(Config):
    """Level of the mix."""

    halve: Live[bool] = False
    """Halve each party, so that two loud parties are not clipped; a single party is then 6 dB softer."""


@node("mix")
class Mix(Transform[Audio, Audio, MixConfig]):
    """Add the channels of stereo, sample by sample; sums beyond 16 bits are clipped.

    In: ``Audio``, s16, stereo (flowcore joins two tracks first). Out: one channel, as the track ``mix``.

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
