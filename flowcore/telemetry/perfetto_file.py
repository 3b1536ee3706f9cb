"""A growing file of events in Chrome's Trace Event Format ("JSON Object Format"), which ui.perfetto.dev opens.

See https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class PerfettoFile:
    """A new file, complete once it is closed. Raises `OSError`."""

    def __init__(self, path: Path) -> None:
        self.events = 0
        self._file = path.open("w")
        self._file.write('{"displayTimeUnit": "ms", "traceEvents": [')

    def __enter__(self) -> PerfettoFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.write("\n]}\n")
        self._file.close()

    def add(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Append events."""
        for event in events:
            self._file.write(",\n" if self.events else "\n")
            self._file.write(json.dumps(event))
            self.events += 1
