"""The latest events of a process, for clients that come after them."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

from flowcore.engine.bus import Bus, Event
from flowcore.engine.event_fields import event_record

MAX_KEPT: Final = 1000
"""Events that are kept: about 1 MB."""


class RecentEvents:
    """The latest events of ``bus``, as its log shows them."""

    def __init__(self, bus: Bus) -> None:
        self._kept: deque[tuple[datetime, Event] | dict[str, Any]] = deque(maxlen=MAX_KEPT)
        bus.subscribe(self._keep)

    def _keep(self, event: Event) -> None:
        # Made later, when it is asked for; but an error would keep its traceback alive, and with it the call's audio.
        self._kept.append(event_record(event) if "cause" in event.data else (datetime.now(UTC), event))

    def latest(self, count: int, flow: str = "") -> list[dict[str, Any]]:
        """Return the latest events, or those of one flow, the oldest first. From any thread."""
        found: deque[dict[str, Any]] = deque()
        for kept in reversed(tuple(self._kept)):
            if len(found) >= count:
                break
            if not flow or flow == (kept.get("flow") if isinstance(kept, dict) else kept[1].flow):
                found.appendleft(kept if isinstance(kept, dict) else event_record(kept[1], kept[0]))
        return list(found)
