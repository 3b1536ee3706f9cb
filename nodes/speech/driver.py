"""What hears the parties of one node, and what it may ask of the node."""

from __future__ import annotations

from typing import Protocol

from flowcore import Audio, Emit, Report, Text

CLOSING = 8.0
"""Seconds after the last sample in which texts may still come; the engine's own deadline is 10 s."""
UNTRANSCRIBED = "untranscribed"
"""The ``gap`` of a text where nobody will know what was said."""


class Driver(Protocol):
    """Hears all parties of one node: `Streams` for providers, `Utterances` for decoders."""

    def push(self, chunk: Audio) -> None:
        """The next audio of its party; `collect` is called after it."""

    def flush(self, by: float) -> None:
        """No more audio. What has no final text at the monotonic time ``by`` is marked ``untranscribed``."""

    def busy(self) -> bool:
        """Whether texts are still to come after `flush`."""

    def collect(self, emit: Emit[Text]) -> None:
        """Do what is due, emit what came, and set the node's alarm for when to be called again."""

    def close(self) -> None:
        """Let go of everything."""


class Host(Protocol):
    """What is used of the node."""

    report: Report

    def wake(self) -> None: ...
    def alarm(self, when: float, /) -> None: ...
    def now(self) -> float: ...
