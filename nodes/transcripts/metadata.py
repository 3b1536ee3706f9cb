"""What is known of a transcript: whose it is, whether it is whole, how much was said, and how late the words were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from nodes.transcripts.formats import Names, who
from nodes.transcripts.journal import Transcript
from nodes.transcripts.plain import plain


def metadata(transcript: Transcript, names: Names, file: str) -> bytes:
    """The JSON beside the transcript called ``file``; all times in seconds.

    ``session`` is what the peer said of its call: never trust it. ``complete`` is false where the writer was killed
    or failed. ``lag`` is measured, from the arrival of a stretch of voice to its text, as the engines told.
    """
    head = transcript.head
    about: dict[str, Any] = {
        "transcript": file,
        "flow": head.flow,
        "started": head.started.isoformat(),
        "seconds": transcript.seconds,
        "complete": transcript.seconds is not None and not transcript.unreadable,
        "session": head.session,
        "parties": _parties(transcript, names),
        "gaps": [
            {"track": text.track, "start": text.start, "end": text.end, "reason": plain(text.gap)}
            for text in transcript.texts
            if text.gap
        ],
        "lag": {"final": _quantiles(transcript.lags[True]), "interim": _quantiles(transcript.lags[False])},
    }
    if transcript.unreadable:
        about["unreadable_lines"] = transcript.unreadable
    return msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n"


def _parties(transcript: Transcript, names: Names) -> dict[str, dict[str, Any]]:
    """By track: what it is called, how many final texts, unfinished texts, and words in both."""
    parties: dict[str, dict[str, Any]] = {}
    for text in sorted(transcript.texts, key=lambda text: text.track):
        party = parties.setdefault(text.track, {"name": who(text, names), "texts": 0, "words": 0, "unfinished": 0})
        party["texts"] += text.final and not text.gap
        party["words"] += len(text.text.split())
        party["unfinished"] += not text.final
    return parties


def _quantiles(lags: Sequence[float]) -> dict[str, float] | None:
    """Measured values by the nearest-rank method; None where there are none."""
    if not lags:
        return None
    ordered = sorted(lags)
    at = {f"p{percent}": ordered[-(-percent * len(ordered) // 100) - 1] for percent in (50, 95)}
    return {"texts": len(ordered), **at, "max": ordered[-1]}
