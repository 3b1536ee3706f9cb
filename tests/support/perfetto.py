"""A reader of files for ui.perfetto.dev that is as strict as Chrome's Trace Event Format."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

REQUIRED = {
    "M": {"name", "pid", "tid", "args"},
    "X": {"name", "cat", "ts", "dur", "pid", "tid"},
    "b": {"name", "cat", "id", "ts", "pid", "tid"},
    "e": {"name", "cat", "id", "ts", "pid", "tid"},
    "i": {"name", "cat", "s", "ts", "pid", "tid"},
    "C": {"name", "ts", "pid", "args"},
}
"""The fields that an event of each phase must have."""


def read(path: Path) -> list[dict[str, Any]]:
    content = json.loads(path.read_text())
    assert isinstance(content["traceEvents"], list)
    return checked(content["traceEvents"])


def checked(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events, which a strict reader accepts: spans of a row are within one another, and pairs are complete."""
    listed = list(events)
    rows = defaultdict(list)
    open_pairs: dict[tuple[Any, ...], float] = {}
    for event in listed:
        assert REQUIRED[event["ph"]] <= event.keys(), event
        assert event.get("ts", 0) >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
            rows[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
        elif event["ph"] in "be":
            key = event["pid"], event["cat"], event["id"], event["name"]
            if event["ph"] == "b":
                assert key not in open_pairs
                open_pairs[key] = event["ts"]
            else:
                assert event["ts"] >= open_pairs.pop(key)
    assert not open_pairs
    for spans in rows.values():
        around: list[float] = []
        for began, ended in sorted(spans, key=lambda span: (span[0], -span[1])):
            while around and around[-1] <= began:
                around.pop()
            assert not around or ended <= around[-1] + 0.002, "spans of one row overlap"
            around.append(ended)
    return listed
