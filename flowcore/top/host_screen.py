"""The part of the application that its screens use: what is looked at, and the call that is heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from textual.app import App
from textual.message import Message

from flowcore.control.live_query import LiveQuery
from flowcore.diagnostics import printable
from flowcore.errors import UsageError
from flowcore.top.feed import Feed, Poller, Snapshot, Watched
from flowcore.top.listening import Listening

EVENT_LINES: Final = 5
"""Events that are shown at once."""


class Looked(Message):
    """A look has an answer."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class ListeningEnded(Message):
    """The process that played a call has ended; ``error`` says why, if it failed."""

    def __init__(self, listening: Listening, error: str) -> None:
        super().__init__()
        self.listening = listening
        self.error = error


class TopHost(App[int]):
    """Looks at the run of ``feed``, and plays one of its calls."""

    def __init__(self, feed: Feed, query: LiveQuery) -> None:
        super().__init__()
        self.feed = feed
        self.watched = Watched(msgspec.structs.replace(query, events=EVENT_LINES))
        self.poller = Poller(feed, lambda snapshot: self.post_message(Looked(snapshot)), self.watched)
        self.listening: Listening | None = None
        self.heard = ""
        """The name of the call that is played."""
        self.with_events = True

    def look_at(self, **changes: Any) -> None:
        """Look at another page, or at another call."""
        self.watched = Watched(**{"query": self.watched.query, "flow": self.watched.flow, **changes})
        self.poller.watch(self.watched)

    def listen(self, call: Mapping[str, Any]) -> None:
        """Play a call on the sound card."""
        try:
            path = self.feed.path
        except UsageError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.heard = name_of(call)
        self.listening = Listening(path, call["flow"], lambda one, error: self.post_message(ListeningEnded(one, error)))
        self.poller.now()

    def stop_listening(self) -> None:
        """Play nothing more."""
        if self.listening is not None:
            self.listening.stop()
            self.listening = None
            self.poller.now()

    def on_listening_ended(self, message: ListeningEnded) -> None:
        if message.error:
            self.notify(message.error, severity="error", markup=False)
        if message.listening is self.listening:
            self.listening = None


def name_of(call: Mapping[str, Any]) -> str:
    """Return the id by which people know a call."""
    return printable(call["call_id"] or call["flow"])
