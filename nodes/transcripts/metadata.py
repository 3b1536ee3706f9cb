"""Metadata of a transcript: its session, completeness, amount of text, and lag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from nodes.transcripts.formats import Names, one_line, party_name
from nodes.transcripts.journal import Transcript


def metadata(transcript: Transcript, names: Names, file: str) -> bytes:
    """Make the JSON for the transcript named ``file``; all times are in seconds.

    ``session`` comes from the peer and must not be trusted. ``complete`` is false if the writer was killed or
    failed, and where anything was lost on the way from the socket to the transcript.
    ``lag`` is measured from the arrival of a stretch of voice to its text.
    """
    head = transcript.head
    about: dict[str, Any] = {
        "transcript": file,
        "flow": head.flow,
        "started": head.started.isoformat(),
        "seconds": transcript.seconds,
        "complete": transcript.seconds is not None and not transcript.unreadable and not transcript.lost,
        "session": head.session,
        "parties": _parties(transcript, names),
        "gaps": _gaps(transcript),
        "lag": {"final": _quantiles(transcript.lags[True]), "interim": _quantiles(transcript.lags[False])},
    }
    if transcript.lost:
        about["lost"] = transcript.lost
    if transcript.unreadable:
        about["unreadable_lines"] = transcript.unreadable
    return msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n"


def _gaps(transcript: Transcript) -> list[dict[str, Any]]:
    """Return the stretches without words: those of the engine, then what was lost on the way, with the node."""
    unknown = [text for text in transcript.texts if text.gap]
    return [
        *(
            {"track": text.track, "start": text.start, "end": text.end, "reason": one_line(text.gap)}
            for text in unknown
        ),
        *({**msgspec.structs.asdict(gap), "track": gap.track or None} for gap in transcript.gaps),
    ]


def _parties(transcript: Transcript, names: Names) -> dict[str, dict[str, Any]]:
    """Return, by track, the name and the numbers of final, of uncertain final and of unfinished texts, and of words."""
    parties: dict[str, dict[str, Any]] = {}
    for text in sorted(transcript.texts, key=lambda text: text.track):
        empty = {"name": party_name(text, names), "texts": 0, "words": 0, "uncertain": 0, "unfinished": 0}
        party = parties.setdefault(text.track, empty)
        party["texts"] += text.final and not text.gap
        party["words"] += len(text.text.split())
        party["uncertain"] += text.uncertain
        party["unfinished"] += not text.final
    return parties


def _quantiles(lags: Sequence[float]) -> dict[str, float] | None:
    """Return quantiles by the nearest-rank method; None without values."""
    if not lags:
        return None
    ordered = sorted(lags)
    at = {f"p{percent}": ordered[-(-percent * len(ordered) // 100) - 1] for percent in (50, 95)}
    return {"texts": len(ordered), **at, "max": ordered[-1]}
