"""Interaction metadata: the request that tells which agents took part in the calls of a time, and what they noted.

RingCX finishes these data about a quarter of an hour after a call, and answers few requests. So one request asks for
all calls of up to three hours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from nodes.ringcx.rest.ids import path_segment
from nodes.ringcx.rest.platform import PlatformError, Request
from nodes.ringcx.rest.rate_limit import RateLimit

PATH = "/voice/api/cx/integration/v2/accounts"
MAX_WINDOW = 10_800
"""Seconds that one request can ask for."""

AVAILABLE_AFTER = 900.0
"""Seconds from the end of a call until RingCX has its metadata."""

NOT_YET = 360.0
"""Seconds before now that a window must not reach: RingCX refuses the last 5 minutes, and clocks differ."""

PRODUCT_TYPES: dict[object, str] = {1: "queue", 2: "campaign", 3: "ivr"}

Window = tuple[int, int]
"""A stretch of time, from and to, in seconds since 1970."""


def windows(spans: Iterable[tuple[float, float]]) -> list[Window]:
    """Return few windows of at most `MAX_WINDOW` that together cover all ``spans``, in order."""
    found: list[Window] = []
    for first, last in sorted((math.floor(start), math.ceil(end)) for start, end in spans):
        start = first
        if found and start < found[-1][0] + MAX_WINDOW:  # the latest window can reach as far as its maximum
            begin, reached = found[-1]
            start = min(max(last, reached), begin + MAX_WINDOW)
            found[-1] = (begin, start)
        while start < last:
            found.append((start, min(last, start + MAX_WINDOW)))
            start = found[-1][1]
    return found


def metadata(rc_account: str, sub_account: str, window: Window) -> Request:
    """Ask for the segments that ended within a window. Raises `UsageError` for an impossible id."""
    account = path_segment("account id", rc_account)
    path = f"{PATH}/{account}/sub-accounts/{path_segment('sub-account id', sub_account)}/interaction-metadata"
    start, end = window
    body = {
        "segmentEndTime": f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M:%S}",  # the window's beginning
        "timeInterval": end - start,
        "timeZone": "UTC",
    }
    explanations = {
        400: "it rejects the request: check the ids, and the clock of this machine",
        403: f"this user may not read the calls of sub-account {sub_account} of RingCentral account {rc_account}: "
        "check both ids, and ask RingCentral for WEM access",
    }
    limit = RateLimit(f"reports of sub-account {sub_account}", ((3, 60.0), (9, 900.0)))
    return Request("POST", path, body, explanations, limit=limit)


def segments(answer: Any) -> list[Mapping[str, Any]]:
    """Return the segments of an answer to `metadata`. Raises `PlatformError` for an answer of another kind."""
    if not isinstance(answer, list):
        raise PlatformError("RingCX answers without a list of interactions: check the server's address")
    return [segment for segment in answer if isinstance(segment, Mapping)]


def ids(segment: Mapping[str, Any]) -> set[str]:
    """Return the ids by which a call is known that has this segment."""
    return {str(segment[name]) for name in ("uii", "dialogId", "segmentId") if segment.get(name)}


def end_of(segment: Mapping[str, Any]) -> float:
    """Return when a segment ended, in seconds since 1970; infinity where RingCX does not tell."""
    for name in ("segmentEndTimeMs", "interactionEndTimeMs"):
        try:
            at = datetime.fromisoformat(segment[name])
        except (KeyError, TypeError, ValueError):
            continue
        return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
    return math.inf


def agent(segment: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a segment tells about its agent; None without one, as when a caller leaves the queue.

    ``start`` and ``end`` are when the agent joined and left, in UTC. RingCX need not know all fields.
    """
    number = segment.get("agentId")
    if not number or segment.get("segmentType") not in (None, "AGENT"):
        return None
    kind = segment.get("productType")
    return {
        "agent_id": str(number),
        "name": segment.get("agentFullName"),
        "product_type": PRODUCT_TYPES.get(kind, str(kind).lower()) if isinstance(kind, int | str) else None,
        "product_id": segment.get("productId"),
        "group_id": segment.get("segmentAgentGroupId"),
        "disposition": segment.get("agentDisposition"),
        "notes": segment.get("agentNotes"),
        "start": segment.get("segmentStartTimeMs"),
        "end": segment.get("segmentEndTimeMs"),
        "segment_id": segment.get("segmentId"),
    }
