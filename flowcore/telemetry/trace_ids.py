"""The trace of a call: its id follows from the flow, so that each process and each log line finds it alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Variables of OpenTelemetry that name the collector; without one there are no traces."""

TraceOf = Callable[[str], str]
"""Returns the id of a flow's trace, as `trace_text` does; nothing where no trace of it is sent."""


def traces_wanted() -> bool:
    """Whether the environment names a collector, and does not switch traces off."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(os.environ.get(name) for name in ENDPOINTS)


def trace_id(flow: str) -> int:
    """Return the 128 bits of the trace of a flow, evenly distributed, as samplers expect."""
    return int.from_bytes(blake2b(flow.encode(), digest_size=16).digest())


def trace_text(flow: str) -> str:
    """Return the id as logs and viewers of traces show it: 32 hexadecimal digits."""
    return f"{trace_id(flow):032x}"
