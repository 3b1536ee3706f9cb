"""Every node that is installed, and a second of what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flowcore import Caps, Demux, Format, Packet, Sink, Text, Transform
from flowcore.node import Node
from flowcore.registry import available
from flowcore.testing import tone

CLASSES = {name: entry.load() for name, entry in sorted(available().items())}
WORKING = {name: cls for name, cls in CLASSES.items() if issubclass(cls, Transform | Demux | Sink)}
OUTSIDE = {"monitor", "ringcx_call", "ringcx_grpc_call", "transcribe"}
"""Nodes that need a peer, a model or a device to work; their own tests give them one."""


def placed(cls: type[Node], stem: str) -> dict[str, Any]:
    """The config with which a node that writes a file writes it to ``stem`` with the end of a name that it knows."""
    field = cls.Config.model_fields.get("path")
    return {"path": stem + Path(field.default).suffix} if field else {}


def given(caps: Caps) -> Format:
    """A format that the port takes."""
    if caps.kind != "audio":
        return Format(caps.kind, "mulaw", 8000, "tracks") if caps.kind == "packets" else Format("text")
    encodings = caps.encodings or ("s16",)
    return Format("audio", encodings[0], (caps.rates or (8000,))[0], (caps.layouts or ("mono",))[0])


def chunks(form: Format) -> list[Any]:
    """A second of both parties in that format."""
    if form.kind == "packets":
        data = [bytes([n]) * 160 for n in range(50)]
        return [Packet(t, n, data[n], n * 0.02) for n in range(50) for t in ("agent", "customer")]
    if form.kind == "text":
        return [Text("agent", n, n + 0.5, f"word {n}", n % 2 == 1, n // 2) for n in range(10)]
    tracks = ("agent", "customer") if form.layout == "tracks" else ("agent",)
    made = [c for pair in zip(*(tone("1s", rate=form.rate, track=t) for t in tracks), strict=True) for c in pair]
    if form.layout == "stereo":
        made = [c.replace(samples=np.stack([c.samples, c.samples // 2], axis=1), track="") for c in made]
    if form.encoding == "mulaw":
        made = [c.replace(encoding="mulaw", samples=(c.samples >> 8).astype(np.uint8)) for c in made]
    return made
