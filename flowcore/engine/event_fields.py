"""The fields of an event as plain values, for the log and for other readers of events."""

from __future__ import annotations

import re
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flowcore.engine.bus import Event
from flowcore.errors import FlowcoreError, safe_str, system_message

MAX_VALUE_LENGTH = 256
"""Characters of a value in the log at most: values from a peer may have any length."""
APART = {"cause", "stack", "dropped"}
"""Fields of events that are not shown as they are."""


def event_fields(event: Event) -> dict[str, Any]:
    """Return the flow and the node, unless they are empty, and the data of an event; errors and stacks in one line."""
    fields = {key: value for key, value in (("flow", event.flow), ("node", event.node)) if value}
    fields |= {key: plain(value) for key, value in event.data.items() if key not in APART}
    if "stack" in event.data:
        fields["where"] = plain(_where(event.data["stack"]))
    cause = event.data.get("cause")
    if isinstance(cause, BaseException):
        fields |= explained(cause)
    return fields


def event_record(event: Event, at: datetime | None = None) -> dict[str, Any]:
    """Return an event as ``flowcore run --log-json`` logs it; ``at`` is when it happened, now by default."""
    timestamp = (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"event": event.name, "level": event.level, "timestamp": timestamp, **event_fields(event)}


def explained(cause: BaseException) -> dict[str, Any]:
    """Return the cause in one line; for an error in a node's code also its place."""
    if isinstance(cause, FlowcoreError | OSError):
        return {"cause": plain(system_message(cause) if isinstance(cause, OSError) else safe_str(cause))}
    frames = traceback.extract_tb(cause.__traceback__)
    if not frames:  # the engine made the error, and did not raise it
        return {"cause": plain(safe_str(cause))}
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return {"cause": plain(f"{type(cause).__name__}: {safe_str(cause)}"), "where": where}


def _where(stack: str) -> str:
    """Return the last calls of a stack in one line: ``interleave.py:77 > interleave.py:98``."""
    return " > ".join(f"{Path(file).name}:{line}" for file, line in re.findall(r'File "([^"\n]*)", line (\d+)', stack))


def plain(value: Any) -> Any:
    """Return ``value`` printable, on one line and short: a peer's text must not forge log lines or move a cursor."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, str):
        cut = value if len(value) <= MAX_VALUE_LENGTH else value[:MAX_VALUE_LENGTH] + "…"
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)
    return value
