"""The outcome of one run of a graph, as plain data that can be compared, shown and kept in a file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore.engine.stats import NodeStats
from flowcore.events import DECODERS_STARTED, ENGINE_EVENTS, FILE_FINISHED
from flowcore.testing.graphs import GraphResult
from flowcore.testing.listeners import Received

USUAL_EVENTS = {event.name for event in (*ENGINE_EVENTS, FILE_FINISHED, DECODERS_STARTED) if event.level == "info"}
"""Events that every run may have."""


@dataclass
class Outcome:
    """One run: flows in the order of their ends, counters summed over flows, files below ``folder``."""

    flows: list[dict[str, Any]]
    nodes: dict[str, NodeStats]
    events: list[dict[str, Any]]
    caught: dict[str, dict[str, Any]]
    files: dict[str, dict[str, Any]]
    seconds: float
    folder: Path = field(default_factory=Path)

    @classmethod
    def of(cls, result: GraphResult, times: list[float], caught: Mapping[str, list[Received]], folder: Path) -> Outcome:
        """Describe a result. ``times`` are those of its events, in seconds from the beginning."""
        flows = [
            {"reason": flow.reason, "failed": [e.node for e in flow.failures], "why": [*map(str, flow.failures)]}
            for flow in result.flows
        ]
        nodes = {name: result.engine.totals.nodes.get(name, NodeStats()) for name in result.engine.plan.nodes}
        events = [
            {"event": event.name, "node": event.node, "at_ms": round(time * 1000)}
            for event, time in zip(result.events, times, strict=True)
        ]
        heard = {name: _caught(sessions) for name, sessions in caught.items()}
        files = {str(path.relative_to(folder)): described(path) for path in sorted(folder.rglob("*")) if path.is_file()}
        return cls(flows, nodes, events, heard, files, result.seconds, folder)

    def counted(self, counter: str) -> dict[str, dict[str, dict[str, float]]]:
        """The counter ``dropped`` or ``filled``, by node and reason, without zeros."""
        found: dict[str, dict[str, dict[str, float]]] = {}
        for name, stats in self.nodes.items():
            for reason, tally in getattr(stats, counter).items():
                if tally.chunks or tally.seconds > 1e-6:
                    found.setdefault(name, {})[reason] = tally.json()
        return found

    def json(self) -> dict[str, Any]:
        """Everything that is the same in each run."""
        return {
            "flows": [{key: flow[key] for key in ("reason", "failed")} for flow in self.flows],
            "nodes": {name: {"in": s.arrived.json(), "out": s.left.json()} for name, s in self.nodes.items()},
            "dropped": self.counted("dropped"),
            "filled": self.counted("filled"),
            "events": [event for event in self.events if event["event"] not in USUAL_EVENTS],
            "caught": self.caught,
            "files": self.files,
        }


def _caught(sessions: list[Received]) -> dict[str, Any]:
    chunks = [chunk for session in sessions for chunk in session.chunks]
    texts = [chunk.text for chunk in chunks if getattr(chunk, "final", False)]
    return {"chunks": len(chunks), "seconds": round(sum(chunk.seconds for chunk in chunks), 6), "texts": texts}


def described(path: Path) -> dict[str, Any]:
    """The content of a file: format and digest of a WAV file, lines of a text, or size and digest."""
    if path.suffix == ".wav":
        try:
            rate, samples = read_wav(path)
        except (OSError, EOFError, wave.Error) as error:
            return {"broken": str(error)}
        seconds, digest = round(len(samples) / rate, 6), hashlib.sha256(samples.tobytes()).hexdigest()
        return {"channels": samples.shape[1], "rate": rate, "seconds": seconds, "sha256": digest}
    data = path.read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    lines = text.splitlines()
    if path.suffix == ".jsonl":
        with contextlib.suppress(json.JSONDecodeError):  # then its lines are text
            return {"lines": [json.loads(line) for line in lines]}
    return {"lines": lines}


def read_wav(path: Path) -> tuple[int, NDArray[Any]]:
    """The sample rate in Hz, and the samples, of shape (frames, channels).

    Raises `wave.Error`, `EOFError` or `OSError` when the file cannot be read.
    """
    with wave.open(str(path), "rb") as file:
        kind = {1: "u1", 2: "<i2", 4: "<i4"}.get(file.getsampwidth())
        if kind is None:
            raise wave.Error(f"samples of {file.getsampwidth()} bytes")
        samples: NDArray[Any] = np.frombuffer(file.readframes(file.getnframes()), np.dtype(kind))
        return file.getframerate(), samples.reshape(-1, file.getnchannels())
