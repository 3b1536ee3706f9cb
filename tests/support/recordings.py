"""Recordings for tests: record chunks without an engine, read files with another implementation, collect events."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import Audio, stamps
from flowcore.testing import NodeHarness
from nodes.simulators.known_audio import CHUNK, SLOT, STAMP_EVERY
from nodes.sinks.audio_file import AudioFile
from nodes.sinks.wav_file import WavFile


class EventReport:
    """A report that keeps the events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, event: str, **data: Any) -> None:
        self.events.append((event, data))

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None: ...

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None: ...


def stereo(start: int, frames: int, value: int = 1000) -> Audio:
    """Return a chunk with ``value`` on the left and its negative on the right."""
    return Audio(np.full((frames, 2), [value, -value], np.int16), "s16", 8000, "", start)


def record(folder: Path, *chunks: Audio, **config: str) -> NodeHarness:
    """Record ``chunks`` with wav_file."""
    return NodeHarness(WavFile, {"path": f"{folder}/{{flow}}.wav", **config}).push(*chunks).end()


def record_encoded(folder: Path, kind: str, *chunks: Audio, **config: str) -> NodeHarness:
    """Record ``chunks`` with audio_file, in the format ``kind``."""
    return NodeHarness(AudioFile, {"path": f"{folder}/{{flow}}.{kind}", **config}).push(*chunks).end()


def files(harness: NodeHarness) -> list[str]:
    """Return the paths of the finished files."""
    return [data["path"] for event, data in harness.events if event == "file_finished"]


def read(path: str | Path) -> np.ndarray:
    """Return the samples as the standard library reads them."""
    with wave.open(str(path)) as reader:
        return np.frombuffer(reader.readframes(reader.getnframes()), "<i2").reshape(-1, reader.getnchannels())


def about(path: str | Path) -> dict[str, Any]:
    """Return the metadata beside a recording."""
    found: dict[str, Any] = json.loads(Path(f"{path}.json").read_text())
    return found


def stamped(call: int, seconds: float) -> NDArray[np.bool_]:
    """Return a mask of the agent's samples that a load generator with ``--stamps`` replaces."""
    slots = np.arange(round(seconds / SLOT))
    marked = np.zeros((len(slots), CHUNK), np.bool_)
    marked[(slots + call) % STAMP_EVERY == 0, : stamps.LENGTH] = True
    return marked.reshape(-1)
