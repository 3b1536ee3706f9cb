"""The messages of one call with their times, and the faults that they meet on their way to the listener."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from flowcore.audio import TRACKS
from flowcore.scenario.model import Fault

RESET = object()
"""In the place of a message: the connection ends without a goodbye."""


class Sent(NamedTuple):
    """A message: the second of the call at which it arrives, the track of its audio (empty without audio), its data."""

    at: float
    track: str
    data: Any


def impaired(sent: list[Sent], faults: Sequence[Fault]) -> list[Sent]:
    """Return the messages as they arrive when these faults meet them on their way, one fault after the other."""
    for fault in faults:
        if fault.reorder is not None:
            rng = random.Random(fault.reorder.seed)  # noqa: S311  # no secret
            window = float(fault.reorder.window)
            late = {id(message): message.at + rng.uniform(0, window) for message in sent if message.track}
            # Messages without audio stay where they are: a Stop does not overtake the audio before it.
            last = max(late.values(), default=0.0)
            sent = _delayed(sent, [late.get(id(m), max(m.at, last) if m.at and not m.track else m.at) for m in sent])
        elif fault.duplicate is not None:
            every, count = fault.duplicate.every, 0
            doubled = []
            for message in sent:
                doubled.append(message)
                count += bool(message.track)
                if message.track and count % every == 0:
                    doubled.append(message)
            sent = doubled
        elif fault.loss is not None:
            begin, end = float(fault.loss.at), fault.loss.at + fault.loss.length
            tracks = (fault.loss.track,) if fault.loss.track else TRACKS
            # The audio of [begin, end) is in messages that are sent after its last sample.
            sent = [m for m in sent if m.track not in tracks or not begin < m.at <= end + 1e-9]
        elif fault.freeze is not None:
            begin, end = float(fault.freeze.at), fault.freeze.at + fault.freeze.length
            sent = _delayed(sent, [end if begin <= m.at < end else m.at for m in sent])
        elif fault.reset is not None:
            at = float(fault.reset.at)
            sent = [*(m for m in sent if m.at < at), Sent(at, "", RESET)]
    return sent


def _delayed(sent: list[Sent], dues: Sequence[float]) -> list[Sent]:
    """Move each message to the time at which it is due; equal times keep their order."""
    moved = [message._replace(at=due) for message, due in zip(sent, dues, strict=True)]
    return sorted(moved, key=lambda message: message.at)
