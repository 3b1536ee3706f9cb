"""Metadata of past calls as recordings and transcripts have them, and RingCX's segments of the same calls."""

import json
import os
from datetime import UTC, datetime

BEGAN = 0.0
"""When the calls of a test began: an hour before it. See conftest.py."""


def call_file(path, *, seconds=60.0, start=0.0, age=0.0, agents=None, **session):
    """Write metadata of a call that began ``age`` seconds before `BEGAN`."""
    began = BEGAN - age
    about = {
        "recording": path.name.removesuffix(".json"),
        "flow": path.stem,
        "started": datetime.fromtimestamp(began, UTC).isoformat(),
        "seconds": seconds,
        "start": start,
        "session": session,
        "holds": [],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about | ({} if agents is None else {"agents": agents})))
    ended = began + start + (seconds or 60.0)
    os.utime(path, (ended, ended))
    return path


def segment(call, agent, *, start=5.0, end=62.0, age=0.0, **other):
    """A segment of the call with this number; times in seconds of the call."""
    return {
        "uii": f"uii-{call}",
        "dialogId": f"s-v-{call}",
        "segmentId": f"p-v-{call}-{agent}",
        "agentId": agent,
        "agentFullName": f"Agent {agent}" if agent else None,
        "segmentStartTimeMs": _time(BEGAN - age + start),
        "segmentEndTimeMs": _time(BEGAN - age + end),
    } | other


def _time(at):
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
