"""Recordings of calls as `flowcore doctor` writes them, made without a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nodes.doctor.redact_grpc import redact_event
from nodes.ringcx.call_recording import VERSION, Closed, Message, Opened, encode
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.dialog_sender import METHOD, DialogSender
from nodes.ringcx.redact import Redactor
from nodes.ringcx.standin import cut

RECORDED = "2026-01-02T03:04:05+01:00"


def websocket_call(path: Path, attributes: Mapping[str, str], voices: Mapping[str, Any], query: str = "") -> Path:
    """Write a call over WebSocket that sends these voices (s16, 8 kHz) in real time."""
    sender = CallSender(attributes)
    media = [(at, sender.media(track, data)) for at, track, data in cut(voices, 160)]
    last = media[-1][0]
    sent = [(0.0, sender.connected()), (0.0, sender.start()), *media, *[(last, sender.stop(round(last), RECORDED))] * 2]
    lines = (Message(100.0 + at, data.decode()) for at, data in sent)
    return _write(path, [Opened(VERSION, 100.0, RECORDED, f"/{query}", []), *lines, Closed(100.0 + last, "stop", 1000)])


def grpc_call(path: Path, attributes: Mapping[str, str], voices: Mapping[str, Any]) -> Path:
    """Write such a call over gRPC."""
    lines = (Message(100.0 + at, redact_event(data, Redactor(None))) for at, data in _dialog(attributes, voices))
    return _write(path, [Opened(VERSION, 100.0, RECORDED, METHOD, [], "grpc"), *lines])


def _dialog(attributes: Mapping[str, str], voices: Mapping[str, Any]) -> Iterator[tuple[float, bytes]]:
    sender = DialogSender(attributes)
    yield 0.0, sender.dialog_init()
    for track in voices:
        yield 0.0, sender.segment_start(track)
    for at, track, data in cut(voices, 800):
        yield at, sender.media(track, data)


def _write(path: Path, records: list[Any]) -> Path:
    path.write_bytes(b"".join(map(encode, records)))
    return path
