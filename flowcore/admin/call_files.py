"""What the files of an ended call tell: metadata of recordings, the words of a transcript, and who spoke when.

All functions block, and read at most `MAX_BYTES` of a file. What a file lacks, or another program has taken away, is
left out.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

MAX_BYTES: Final = 8 * 1024 * 1024
"""Bytes of metadata or of a transcript that are read; larger files are left out."""
MAX_TEXTS: Final = 5000
"""Texts at most, the first of the call."""
BINS: Final = 600
"""Stretches at most into which a recording is divided to find out who spoke when."""
MIN_BIN: Final = 0.1
"""Seconds of such a stretch at least."""
MAX_READ: Final = 60.0
"""Seconds of a recording that are read at once."""
PAUSE: Final = 0.4
"""Seconds of a pause in a party's talk that is no end of it."""
TALK_DB: Final = -45.0
"""The level above which a party speaks, in dB full scale."""
ABOUT: Final = (
    *("complete", "end", "segment", "start", "seconds", "format", "encoding", "rate", "parties", "bytes"),
    *("holds", "gaps", "silenced", "dropped", "lost", "transcript", "lag"),
)
"""Fields of metadata that are shown: neither the agents nor the session, whose values the call log may hide."""


def describe(file: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file of a row of the call log with its size, or null when it is not here, and with its metadata."""
    path = Path(file["path"])
    size = None
    with suppress(OSError, ValueError):
        size = path.stat().st_size
    found = _json(path.with_name(f"{path.name}.json"))
    about = {name: found[name] for name in ABOUT if name in found} if isinstance(found, dict) else None
    return {"path": file["path"], "sha256": file["sha256"], "bytes": size, "about": about}


def words(paths: Sequence[str]) -> list[dict[str, Any]] | None:
    """Return the texts of the first transcript in JSON lines, in the order of their starts; None without one."""
    for path in paths:
        if path.endswith(".jsonl") and (data := _read(Path(path))) is not None:
            texts: dict[tuple[str, int], dict[str, Any]] = {}
            for line in data.splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    text = json.loads(line)
                    texts[text["track"], text["utterance"]] = _text(text)  # the last one of an utterance counts
            listed = sorted(texts.values(), key=lambda text: (text["start"], text["track"]))
            return listed[:MAX_TEXTS]
    return None


def talk(files: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Return the stretches in which a party of the recordings spoke, as `describe` gives them; None without any."""
    found: list[dict[str, Any]] = []
    read = False
    for file in files:
        about = file["about"] or {}
        if file["bytes"] is None or not about.get("parties"):
            continue
        for party, start, end in _loud(Path(file["path"]), about["parties"], about.get("start") or 0.0):
            read = True
            if end > start:
                found.append({"track": party, "start": round(start, 2), "end": round(end, 2)})
    return found if read else None


def _text(text: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "track": str(text["track"]),
        "start": float(text["start"]),
        "end": float(text["end"]),
        "text": str(text["text"]),
        "final": bool(text["final"]),
        "gap": str(text.get("gap", "")),
        "uncertain": bool(text.get("uncertain", False)),
        "language": str(text.get("language", "")),
    }


def _loud(path: Path, parties: Sequence[str], start: float) -> Iterator[tuple[str, float, float]]:
    """Yield the stretches of each channel above `TALK_DB`, and once an empty one for a file that could be read."""
    try:
        with wave.open(str(path)) as file:
            if file.getsampwidth() != 2 or file.getnchannels() != len(parties):
                return
            rate, frames = file.getframerate(), file.getnframes()
            size = max(round(MIN_BIN * rate), -(-frames // BINS))
            levels = [np.empty((0, len(parties)))]
            per_read = max(1, int(MAX_READ * rate) // size) * size
            while len(data := file.readframes(per_read)):
                samples = np.frombuffer(data, "<i2").reshape(-1, len(parties)).astype(np.float32) / 32768
                at = np.arange(0, len(samples), size)
                counts = np.diff([*at, len(samples)])[:, np.newaxis]
                levels.append(np.add.reduceat(np.square(samples), at) / counts)
    except (OSError, wave.Error, EOFError, ValueError):  # another format, or no file any more
        return
    yield parties[0], start, start
    power = np.concatenate(levels)
    for channel, party in enumerate(parties):
        loud = np.concatenate([[False], power[:, channel] > 10 ** (TALK_DB / 10), [False]])
        edges = np.flatnonzero(loud[1:] != loud[:-1]) * size / rate
        begins, ends = edges[::2], edges[1::2]
        apart = begins[1:] - ends[:-1] > PAUSE
        for begin, end in zip([*begins[:1], *begins[1:][apart]], [*ends[:-1][apart], *ends[-1:]], strict=True):
            yield party, start + float(begin), start + float(end)


def _json(path: Path) -> Any:
    data = _read(path)
    with suppress(ValueError):
        return None if data is None else json.loads(data)
    return None


def _read(path: Path) -> bytes | None:
    with suppress(OSError, ValueError):
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            return path.read_bytes()
    return None
