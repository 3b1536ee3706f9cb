"""What a node tells the engine of its losses, fillings and events."""

from __future__ import annotations

from typing import Any, Protocol

from flowcore.events import Level


class Report(Protocol):
    """Takes a node's losses, fillings and events, so that the engine's counters balance."""

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        """Count input that will never be emitted; ``seconds`` of one channel's audio."""

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        """Count output that was in no input, such as silence for a lost packet; ``seconds`` of one channel's audio."""

    def gap(self, reason: str, track: str, start: float, end: float) -> None:
        """Say where in the call audio is missing that was counted under ``reason``, in seconds."""

    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None:
        """Tell an operator what happened, without payload, secrets or spoken words.

        The node declares ``name`` and the fields of ``data`` in ``events``. ``level`` overrides the declared one.
        """


class NoReport:
    """Ignores everything: a `Report` to inherit from for those that take only some of it."""

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None: ...
    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None: ...
    def gap(self, reason: str, track: str, start: float, end: float) -> None: ...
    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None: ...
