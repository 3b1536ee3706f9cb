"""Sounds like voices, and calls of two of them; `tools.conditions` has their echoes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from flowcore import Audio
from flowcore.audio import TELEPHONE_RATE, TRACKS
from tools.conditions import echo, telephone

__all__ = ["call", "echo", "telephone", "voice"]


def voice(seconds: float, seed: int = 1, level: float = 2000.0, talking: tuple[float, float] = (0.5, 1.5)) -> Any:
    """Return sound like a voice, s16 at 8 kHz through mu-law: a pulse train of changing pitch through resonances.

    It talks from ``talking[0]`` to ``talking[1]`` s of every 2 s, at a root mean square of about ``level``.
    """
    chance = np.random.default_rng(seed)
    frames = round(seconds * TELEPHONE_RATE)
    time = np.arange(frames) / TELEPHONE_RATE
    pitch = 110 + 40 * chance.random() + 30 * np.sin(2 * np.pi * (0.7 + chance.random()) * time + seed)
    phase = np.cumsum(pitch) / TELEPHONE_RATE
    source = np.diff(np.floor(phase), prepend=0) * 8 + chance.normal(0, 0.3, frames)
    sound = np.zeros(frames)
    for start in range(0, frames, 800):  # 10 sounds a second, each with resonances of its own
        piece = source[start : start + 800]
        ring = np.arange(120) / TELEPHONE_RATE
        mouth = sum(
            np.exp(-300 * ring) * np.sin(2 * np.pi * chance.uniform(low, high) * ring)
            for low, high in ((250, 900), (900, 2300), (2300, 3500))
        )
        whole = np.convolve(piece, mouth) * chance.uniform(0.3, 1)
        sound[start : start + len(whole)] += whole[: frames - start]
    sound *= (time % 2 >= talking[0]) & (time % 2 < talking[1])
    return telephone(sound * level / np.sqrt(np.mean(sound[sound != 0] ** 2)))


def call(agent: Any, customer: Any, chunk: int = 800, start: int = 0) -> Iterator[Audio]:
    """Yield the audio of both parties in turn, in chunks of ``chunk`` samples, from position ``start`` on."""
    for at in range(0, max(len(agent), len(customer)), chunk):
        for track, samples in zip(TRACKS, (agent, customer), strict=True):
            if at < len(samples):
                yield Audio(samples[at : at + chunk], "s16", TELEPHONE_RATE, track, start + at)
