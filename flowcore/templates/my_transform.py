"""Make sound louder or softer: audio in, the same audio at another level out."""

import numpy as np

from flowcore import LINEAR, Audio, Config, Decibels, Emit, Transform, node


class MyTransformConfig(Config):
    """The gain."""

    gain: Decibels = Decibels("0dB")
    """Added to the level: 6dB doubles every sample, -6dB halves it."""


@node("my_transform")
class MyTransform(Transform[Audio, Audio, MyTransformConfig]):
    """Change the level of every chunk; what would be too loud for 16 bits is clipped.

    In: ``Audio``, s16, any rate and layout. Out: the same, at the other level.

    Example::

        louder: {use: my_transform, from: voices, with: {gain: 6dB}}
    """

    caps = (LINEAR,)

    def __init__(self, config: MyTransformConfig) -> None:
        self._factor = 10 ** (config.gain / 20)

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        samples = np.clip(np.rint(chunk.samples * self._factor), -32768, 32767)
        emit(chunk.replace(samples=samples.astype(np.int16)))
