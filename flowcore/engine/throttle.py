"""Merges what peers can cause at any rate, so that no peer can fill the log."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

INTERVAL = 1.0
"""Seconds between two items of one key that are passed on."""

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


@dataclass(slots=True)
class _Window(Generic[Item]):
    until: float
    latest: Item | None = None
    times: int = 0


class Throttle(Generic[Key, Item]):
    """Passes the first item of a key on at once, and of each following `INTERVAL` the latest, with their number."""

    def __init__(self) -> None:
        self._windows: dict[Key, _Window[Item]] = {}

    def is_first(self, key: Key, item: Item, now: float) -> bool:
        """Return whether to pass ``item`` on now; else it is kept for `due`. ``now`` is in monotonic seconds."""
        window = self._windows.get(key)
        if window is None:
            self._windows[key] = _Window(now + INTERVAL)
            return True
        window.latest = item
        window.times += 1
        return False

    def due(self, now: float) -> Iterator[tuple[Item, int]]:
        """Yield the latest item of each key whose interval is over, and for how many items it stands."""
        for key, window in [entry for entry in self._windows.items() if now >= entry[1].until]:
            del self._windows[key]
            if window.latest is not None:
                self._windows[key] = _Window(now + INTERVAL)
                yield window.latest, window.times
