"""The chunks of a tap as a WAV file whose length is not known before its end."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from flowcore.audio import SAMPLE_BYTES, SILENCE, Audio
from flowcore.errors import UsageError

MAX_SILENCE: Final = 10.0
"""Seconds of silence in a WAV for one pause; a longer one is shortened, because all of its silence comes at once."""
WAV_FORMATS: Final = {"s16": 1, "f32": 3, "mulaw": 7}
"""Format tags of WAVE: WAVE_FORMAT_PCM, _IEEE_FLOAT and _MULAW."""
UNKNOWN_SIZE: Final = 0xFFFFFFFF
"""Size of a RIFF chunk of which only the end of the stream tells the length."""
DTYPES: Final = {"s16": "<i2", "f32": "<f4", "mulaw": "u1"}
"""Types of samples in taps, by encoding."""


def to_audio(head: Mapping[str, Any], data: bytes) -> Audio:
    """Return the chunk that a tap describes by ``head``, with the samples in ``data``."""
    samples = np.frombuffer(data, DTYPES[head["encoding"]])
    shape = (-1, head["channels"]) if head["channels"] > 1 else (-1,)
    return Audio(samples.reshape(shape), head["encoding"], head["rate"], head["track"], head["start"])


class WavStream:
    """Writes chunks of the format ``form`` as a WAV file. ``track`` is the only one of them, or empty for all."""

    def __init__(self, form: Mapping[str, Any], track: str) -> None:
        self._form = form
        self._track = track
        self._at: int | None = None

    def check(self) -> None:
        """Raises `UsageError` unless the format fits into a WAV file."""
        if self._form.get("kind") != "audio":
            raise UsageError("this node gives no audio: leave out format=wav")
        if self._form["layout"] == "tracks" and not self._track:
            raise UsageError("this node gives the parties apart: choose one with track=agent or track=customer")

    def encode(self, head: Mapping[str, Any], data: bytes) -> bytes:
        """Return the bytes of a chunk, behind the silence since the one before it; first of all the header."""
        audio = to_audio(head, data)
        frame = SAMPLE_BYTES[audio.encoding] * audio.channels
        started = b"" if self._at is not None else _header(audio, frame)
        hole = 0 if self._at is None else min(max(0, audio.start - self._at), round(MAX_SILENCE * audio.rate))
        self._at = audio.end
        return started + bytes([SILENCE[audio.encoding]]) * (hole * frame) + data


def _header(audio: Audio, frame: int) -> bytes:
    tag, bits = WAV_FORMATS[audio.encoding], 8 * SAMPLE_BYTES[audio.encoding]
    form = struct.pack("<HHIIHH", tag, audio.channels, audio.rate, audio.rate * frame, frame, bits)
    return (
        struct.pack("<4sI4s4sI", b"RIFF", UNKNOWN_SIZE, b"WAVE", b"fmt ", len(form))
        + form
        + struct.pack("<4sI", b"data", UNKNOWN_SIZE)
    )
