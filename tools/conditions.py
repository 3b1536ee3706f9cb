"""What a telephone network does to two parties: distance, noise, lost packets and echo. Samples are s16 at 8 kHz."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nodes.audio import g711
from tools.noise import add_noise
from tools.prompts import RATE

PACKET = 160  # samples: 20 ms
ECHO_PATH = 0.006  # seconds of its impulse response
Channels = Mapping[str, Any]
"""Samples by track."""


@dataclass(frozen=True)
class Condition:
    """A condition of a call: what it does to both channels, and whether the parties speak in turn or both at once."""

    change: Callable[[Channels], Channels]
    in_turn: bool = False


def noisy(ratio: float) -> Condition:
    """Add white noise; speech is ``ratio`` dB louder than it."""
    return _each(lambda samples: add_noise(samples, "white", ratio))


def quieter(decibels: float) -> Condition:
    """Make speech quieter."""
    return _each(lambda samples: telephone(samples * 10 ** (-decibels / 20)))


def lossy(share: float, seed: int = 1) -> Condition:
    """Replace a ``share`` of all packets by silence."""

    def lose(samples: Any) -> Any:
        lost = np.random.default_rng(seed).random(-(-len(samples) // PACKET)) < share
        return np.where(np.repeat(lost, PACKET)[: len(samples)], 0, samples).astype(np.int16)

    return _each(lose)


def echoing(level: float, delay: float = 0.13, *, in_turn: bool = False) -> Condition:
    """Add the echo of each party to the other channel, and remove it by ``echo_cancel``."""

    def add(channels: Channels) -> Channels:
        voices = _same_length(channels)
        others = dict(zip(voices, reversed(voices.values()), strict=True))
        return cancelled({track: telephone(voices[track] + echo(others[track], delay, level)) for track in voices})

    return Condition(add, in_turn)


def echo(source: Any, delay: float, level: float, length: float = ECHO_PATH) -> Any:
    """Return the echo of ``source``: ``delay`` seconds late, at ``level`` dB, through a path of ``length`` seconds."""
    taps = max(1, round(length * RATE))
    path = np.random.default_rng(3).normal(0, 1, taps) * np.exp(-4 * np.arange(taps) / taps)
    path[0] = 2
    path *= 10 ** (level / 20) / np.sqrt(np.sum(path**2))
    late = np.concatenate((np.zeros(round(delay * RATE)), source))[: len(source)]
    return np.convolve(late, path)[: len(source)]


def cancelled(channels: Channels) -> Channels:
    """Return two channels of the same length behind ``echo_cancel``."""
    from flowcore import Audio
    from flowcore.testing import NodeHarness, joined
    from nodes.transforms.echo_cancel import EchoCancel

    call = NodeHarness(EchoCancel)
    for at in range(0, max(map(len, channels.values())), 800):
        for track, samples in channels.items():
            call.push(Audio(samples[at : at + 800], "s16", RATE, track, at))
    out = call.end().out
    return {track: joined(out, track) for track in channels}


def telephone(samples: Any) -> Any:
    """Return the samples rounded to int16, through mu-law."""
    return g711.decode(g711.encode(np.clip(np.rint(samples), -32768, 32767).astype(np.int16)))


def _each(change: Callable[[Any], Any]) -> Condition:
    return Condition(lambda channels: {track: change(samples) for track, samples in channels.items()})


def _same_length(channels: Channels) -> dict[str, Any]:
    longest = max(map(len, channels.values()))
    return {track: np.pad(samples, (0, longest - len(samples))) for track, samples in channels.items()}


CONDITIONS: dict[str, Condition] = {
    "clean": _each(lambda samples: samples),
    "noise, 20 dB": noisy(20),
    "noise, 10 dB": noisy(10),
    "20 dB quieter": quieter(20),
    "5 % lost": lossy(0.05),
    "echo at -25 dB, in turn": echoing(-25, in_turn=True),
    "echo at -25 dB, both at once": echoing(-25),
}
