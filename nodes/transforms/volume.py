"""Make audio louder or softer, also while a call runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flowcore import LINEAR, Audio, Config, Decibels, Emit, Live, Transform, node


class VolumeConfig(Config):
    """Gain of the audio."""

    level: Live[Decibels] = Field(Decibels(0), ge=-60, le=40)
    """Gain; samples beyond full scale are clipped. A change of a running call is spread over one chunk, so that it does
    not click."""


@node("volume")
class Volume(Transform[Audio, Audio, VolumeConfig]):
    """Make audio louder or softer, as ``flowcore set CALL NODE.level=-6dB`` does with a running call.

    In: ``Audio``, s16. Out: the same with another level; at ``0dB`` each chunk passes unchanged.

    Example::

        louder: {use: volume, from: voices, with: {level: 6dB}}
    """

    caps = (LINEAR,)
    balanced = True

    def __init__(self, config: VolumeConfig) -> None:
        super().__init__(config)
        self._gains: dict[str, float] = {}  # that of the last sample, by track

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        goal = 10 ** (self.config.level / 20)
        before = self._gains.get(chunk.track, goal)
        self._gains[chunk.track] = goal
        if before == goal == 1.0:
            emit(chunk)
            return
        gain = goal if before == goal else ramp(before, goal, len(chunk.samples))
        samples = chunk.samples * (gain if chunk.samples.ndim == 1 else np.reshape(gain, (-1, 1)))
        emit(chunk.replace(samples=np.clip(np.rint(samples), -32768, 32767).astype(np.int16)))


def ramp(before: float, after: float, samples: int) -> NDArray[np.float64]:
    """Return gains from just behind ``before`` up to ``after``, one for each sample."""
    return np.linspace(before, after, samples + 1)[1:]
