"""A tap on a call as a stream of bytes: lines of JSON, a WAV file, or lines of JSON with the samples behind each."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from flowcore.admin.wav_stream import WavStream, to_audio
from flowcore.control import TapConnection
from flowcore.errors import UsageError

Form = Literal["lines", "wav", "samples"]
WAIT: Final = 1.0
"""Seconds until `TapStream.read` returns without a chunk."""


class TapStream:
    """The output of ``node`` of ``flow``, of one ``track`` or of all.

    ``form`` selects lines with times and levels or words, a WAV file, or lines that describe the samples behind them
    and, at last, the end.
    """

    def __init__(self, control: Path, flow: str, node: str, track: str, form: Form) -> None:
        """Open the tap through the hub at ``control``. Raises `UsageError`; may take seconds."""
        self._tap = TapConnection(control, flow, node)
        self._track = track
        self._reading = threading.Lock()
        self._wav = WavStream(self._tap.hello["format"], track) if form == "wav" else None
        self._samples = form == "samples"
        self._ended = False
        try:
            if self._wav is not None:
                self._wav.check()
            if self._samples and self._tap.hello["format"].get("kind") != "audio":
                raise UsageError("this node gives no audio: choose another one to listen to")
        except UsageError:
            self.close()
            raise

    def close(self) -> None:
        """Hang up, once no thread reads any more: the number of a closed socket may be another's."""
        with self._reading:
            self._tap.close()

    def read(self) -> bytes | None:
        """Return the bytes of the chunks that came within `WAIT` seconds, perhaps none; None after the end."""
        with self._reading:
            if self._tap.end is not None:
                return self._last()
            return b"".join(
                self._encode(head, data)
                for head, data in self._tap.messages(WAIT)
                if self._track in ("", head["track"])
            )

    def _encode(self, head: Mapping[str, Any], data: bytes) -> bytes:
        if self._samples:
            return json.dumps({**head, "bytes": len(data)}).encode() + b"\n" + data
        return _line(head, data) if self._wav is None else self._wav.encode(head, data)

    def _last(self) -> bytes | None:
        if not self._samples or self._ended:
            return None
        self._ended = True
        return json.dumps({"end": self._tap.end}).encode() + b"\n"


def _line(head: Mapping[str, Any], data: bytes) -> bytes:
    if "encoding" in head:
        audio = to_audio(head, data)
        level = audio.level_db()
        times = {"start": round(audio.start / audio.rate, 4), "end": round(audio.end / audio.rate, 4)}
        rms = round(level, 1) if math.isfinite(level) else None
        head = {"track": audio.track, **times, "rms_db": rms, "lost": head["lost"]}
    return json.dumps(head, ensure_ascii=False).encode() + b"\n"
