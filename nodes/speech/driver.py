"""The protocol between the node `transcribe` and the drivers of speech engines."""

from __future__ import annotations

from typing import Protocol

from flowcore import Audio, Emit, Report, Text

FLUSH_TIMEOUT = 8.0  # seconds after the last sample in which texts may still come; the engine's own deadline is 10 s
UNTRANSCRIBED = "untranscribed"  # the ``gap`` of a text for a stretch without a transcript


class Driver(Protocol):
    """Runs a speech engine for all tracks of one node: a `StreamingDriver` or an `UtteranceDriver`."""

    def push(self, chunk: Audio) -> None:
        """Take the next audio of its track; the node calls `collect` after this."""

    def flush(self, by: float) -> None:
        """End all tracks. Audio without a final text at the monotonic time ``by`` is marked ``untranscribed``."""

    def busy(self) -> bool:
        """Whether texts are still to come after `flush`."""

    def collect(self, emit: Emit[Text]) -> None:
        """Do the work that is due, emit the texts, and set the node's alarm for the next call."""

    def close(self) -> None:
        """Release all resources."""


class DriverHost(Protocol):
    """The part of the node that a driver uses."""

    report: Report

    def wake(self) -> None: ...
    def alarm(self, when: float, /) -> None: ...
    def now(self) -> float: ...
