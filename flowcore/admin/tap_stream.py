"""A tap on a call as a stream of bytes: lines of JSON, or a WAV file."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from flowcore.admin.wav_stream import WavStream, to_audio
from flowcore.control import TapConnection
from flowcore.errors import UsageError

WAIT: Final = 1.0
"""Seconds until `TapStream.read` returns without a chunk."""


class TapStream:
    """The output of ``node`` of ``flow``, of one ``track`` or of all. ``wav`` selects the audio instead of lines."""

    def __init__(self, control: Path, flow: str, node: str, track: str, wav: bool) -> None:
        """Open the tap through the hub at ``control``. Raises `UsageError`; may take seconds."""
        self._tap = TapConnection(control, flow, node)
        self._track = track
        self._reading = threading.Lock()
        self._wav = WavStream(self._tap.hello["format"], track) if wav else None
        try:
            if self._wav is not None:
                self._wav.check()
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
                return None
            return b"".join(
                _line(head, data) if self._wav is None else self._wav.encode(head, data)
                for head, data in self._tap.messages(WAIT)
                if self._track in ("", head["track"])
            )


def _line(head: Mapping[str, Any], data: bytes) -> bytes:
    if "encoding" in head:
        audio = to_audio(head, data)
        level = audio.level_db()
        times = {"start": round(audio.start / audio.rate, 4), "end": round(audio.end / audio.rate, 4)}
        rms = round(level, 1) if math.isfinite(level) else None
        head = {"track": audio.track, **times, "rms_db": rms, "lost": head["lost"]}
    return json.dumps(head, ensure_ascii=False).encode() + b"\n"
