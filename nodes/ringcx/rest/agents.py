"""Join the agents of calls into files and the call log, with few requests for all calls together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nodes.ringcx.rest.call_files import CallFile
from nodes.ringcx.rest.call_rows import CallRow
from nodes.ringcx.rest.interactions import AVAILABLE_AFTER, NOT_YET, Window, agent, end_of, ids, segments, windows

LONGEST_REST = 7200.0
"""Seconds for which a call may go on after its audio ended, as when its stream was stopped for a payment."""

END_TOLERANCE = 60.0
"""Seconds by which the last agent may have left before the audio ends: clocks differ."""


Incomplete = CallFile | CallRow
"""A place for the agents of a call that lacks them."""


def ready(files: Sequence[Incomplete], now: float) -> list[Incomplete]:
    """Return those of calls whose agents RingCX should know by ``now``, in seconds since 1970."""
    return [file for file in files if file.ended + AVAILABLE_AFTER <= now]


def windows_of(files: Sequence[Incomplete], now: float) -> list[Window]:
    """Return the windows to ask for at ``now``, in order: a segment ends when its agent leaves, after the audio."""
    return windows((file.began, min(file.ended + LONGEST_REST, now - NOT_YET)) for file in files)


class Join:
    """The agents of ``files`` and rows, from one answer after another in the order of `windows_of`."""

    def __init__(self, files: Sequence[Incomplete]) -> None:
        self.joined: list[Incomplete] = []
        """Those that got their agents."""
        self.waiting = sorted(files, key=lambda file: file.ended)
        """Those whose agents were not in an answer so far."""
        self._known: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(
            dict
        )  # by an id of the call and the segment's

    def add(self, window: Window, answer: Any) -> None:
        """Take the answer for a window, and complete the files whose agents are known up to their end.

        Raises `PlatformError` for an answer that has no list, OSError, and `DatabaseFailed`.
        """
        for segment in segments(answer):
            for known in ids(segment):
                self._known[known][str(segment.get("segmentId"))] = segment
        for file in list(self.waiting):
            found = next((self._known[known].values() for known in file.ids if known in self._known), ())
            last = max(map(end_of, found), default=-math.inf)
            if last >= file.ended - END_TOLERANCE or (found and window[1] >= file.ended + LONGEST_REST):
                self.waiting.remove(file)
                if file.add(list(_agents(found))):
                    self.joined.append(file)


def _agents(found: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for segment in sorted(found, key=lambda segment: str(segment.get("segmentStartTimeMs") or "")):
        if (known := agent(segment)) is not None:
            yield known
