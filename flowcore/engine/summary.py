"""The part of the event ``flow_closed`` that follows from the events of the flow's nodes: holds, files."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from flowcore.events import FILES, HOLD_ENDED
from flowcore.losses import Gap

MAX_FILES: Final = 10
"""Files that the end of a call names at most."""
MAX_KEPT_FILES: Final = 1000
"""Files that `Summary.files` holds at most."""
MAX_KEPT_HOLDS: Final = 500
"""Holds that `Summary.holds` has at most."""


class Summary:
    """The holds and the finished files of a flow."""

    def __init__(self) -> None:
        self._files: deque[str] = deque(maxlen=MAX_KEPT_FILES)
        self._kept_holds: deque[Gap] = deque(maxlen=MAX_KEPT_HOLDS)
        self._holds = 0
        self._hold_seconds = 0.0

    def event(self, name: str, data: Mapping[str, Any]) -> None:
        """Take note of an event. From any thread: files come from several, holds from the jitter buffer's."""
        if name in FILES:
            self._files.append(str(data["path"]))
        elif name == HOLD_ENDED.name:
            seconds = data["seconds"]
            self._holds += 1
            self._hold_seconds += seconds
            if (start := data.get("start")) is not None:
                self._kept_holds.append(Gap(data["track"], start, start + seconds, seconds))

    @property
    def files(self) -> list[str]:
        """Paths of the finished files, the last `MAX_KEPT_FILES` at most."""
        return list(self._files)

    @property
    def holds(self) -> list[Gap]:
        """The holds that ended, the last `MAX_KEPT_HOLDS` at most. From any thread."""
        return list(self._kept_holds)

    def json(self) -> dict[str, Any]:
        """Return fields of ``flow_closed``."""
        return {"holds": self._holds, "hold_seconds": round(self._hold_seconds, 3), "files": self.files[-MAX_FILES:]}
