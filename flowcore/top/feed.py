"""What `flowcore top` shows, asked from the control hub again and again, whatever becomes of the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from flowcore.control import ask, only_running, running
from flowcore.control.live_query import LiveQuery
from flowcore.errors import UsageError

INTERVAL: Final = 1.0
"""Seconds between two looks."""
TIMEOUT: Final = 5.0
"""Seconds that a look may take: the hub waits 2 for its workers."""


@dataclass(frozen=True)
class Watched:
    """What to look at: a page of the calls, and one call by its flow, if ``flow`` is not empty."""

    query: LiveQuery = field(default_factory=LiveQuery)
    flow: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The answers of a run to one look, or the ``error`` instead of them.

    ``call`` is None where none is looked at, or it has ended. ``room`` is how many more calls the run can take, and
    what limits them; empty where that is not known. ``another`` says that the answers come from another run than those
    before.
    """

    watched: Watched
    page: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] | None = None
    room: str = ""
    another: bool = False
    error: str = ""


class Feed:
    """Looks at the run at ``control``, or at the only one that there is."""

    def __init__(self, control: Path | None) -> None:
        self._control = control
        self._path: Path | None = None
        self._processes: frozenset[int] = frozenset()
        self._knows_room = True

    @property
    def path(self) -> Path:
        """The socket of the run. Raises `UsageError` when none is running, or several are."""
        if self._path is None:
            self._path = self._control or only_running(running())
        return self._path

    def look(self, watched: Watched) -> Snapshot:
        """Ask the run once. Raises `UsageError` when there is no answer."""
        try:
            page = self._ask(watched.query.request())
            if "error" in page:
                raise UsageError(page["error"])
            call = self._ask({"ask": "live_call", "flow": watched.flow}) if watched.flow else None
            room = self._room()
        except UsageError:
            self._path = None  # a run that was started meanwhile has another socket
            raise
        processes = frozenset(process["pid"] for process in page["processes"])
        another = bool(self._processes) and bool(processes) and not processes & self._processes
        self._processes = processes or self._processes
        self._knows_room = self._knows_room or another
        return Snapshot(watched, page, call, room, another)

    def _ask(self, request: dict[str, Any]) -> Any:
        return ask(self.path, request, TIMEOUT)[0][0]

    def _room(self) -> str:
        if not self._knows_room:
            return ""
        try:
            answers, _ = ask(self.path, {"ask": "capacity"}, TIMEOUT)
        except UsageError:
            self._knows_room = False
            return ""
        if not answers:
            return ""
        fullest = min(answers.values(), key=lambda one: one["until_full"])
        return f"room for {sum(one['until_full'] for one in answers.values())} more ({plain_limit(fullest)})"


def plain_limit(answer: dict[str, Any]) -> str:
    """Return what limits a process, in words."""
    return str(answer["limited_by"]).replace("_", " ")


class Poller:
    """A thread that looks once in `INTERVAL`, at what `watch` was given last, and calls ``on_look``."""

    def __init__(self, feed: Feed, on_look: Callable[[Snapshot], object], watched: Watched) -> None:
        self._feed = feed
        self._on_look = on_look
        self._watched = watched
        self._asked = threading.Event()
        self._running: object | None = None

    def start(self) -> None:
        """Look from now on."""
        self._running = running = object()
        threading.Thread(target=self._run, args=(running,), name="flowcore-top", daemon=True).start()

    def watch(self, watched: Watched) -> None:
        """Look at this from now on."""
        self._watched = watched
        self.now()

    def now(self) -> None:
        """Look now."""
        self._asked.set()

    def stop(self) -> None:
        """Look no more."""
        self._running = None
        self.now()

    def _run(self, running: object) -> None:
        while self._running is running:
            self._asked.clear()
            watched = self._watched
            try:
                snapshot = self._feed.look(watched)
            except UsageError as error:
                snapshot = Snapshot(watched, error=str(error))
            if self._running is running:
                self._on_look(snapshot)
            self._asked.wait(INTERVAL)


def look_twice(feed: Feed, query: LiveQuery) -> Snapshot:
    """Look, and again after `INTERVAL`: levels and what happened lately are there from the second look on."""
    feed.look(Watched(query))
    time.sleep(INTERVAL)
    return feed.look(Watched(query))
