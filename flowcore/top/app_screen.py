"""The application of `flowcore top`: it looks once a second, and shows what it sees on the screen that is open."""

from __future__ import annotations

import asyncio
import signal
import time
from functools import partial
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from flowcore.control.live_query import LiveQuery
from flowcore.top.base_screen import TopScreen
from flowcore.top.calls_screen import CallsScreen
from flowcore.top.feed import Feed, Snapshot
from flowcore.top.host_screen import Looked, TopHost


class TopApp(TopHost):
    """Shows the run of ``feed``, of which ``first`` was the first look."""

    TITLE = "flowcore top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "leave", "Quit", show=False, priority=True)]

    def __init__(self, feed: Feed, query: LiveQuery, first: Snapshot) -> None:
        super().__init__(feed, query)
        self._first = first
        self._silent_since = 0.0

    def get_default_screen(self) -> Screen[Any]:
        return CallsScreen()

    def on_mount(self) -> None:
        code = 128 + signal.SIGTERM
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, partial(self.exit, return_code=code))
        self.post_message(Looked(self._first))
        self.poller.start()

    def on_unmount(self) -> None:
        self.poller.stop()
        self.stop_listening()

    def action_leave(self) -> None:
        """End, silently."""
        self.exit(0)

    def on_looked(self, message: Looked) -> None:
        snapshot = message.snapshot
        screen = next((one for one in reversed(self.screen_stack) if isinstance(one, TopScreen)), None)
        if screen is None or not screen.query(".notice"):  # it opens, or closes
            return
        if snapshot.error:
            self._silent_since = self._silent_since or time.monotonic()
            seconds = time.monotonic() - self._silent_since
            first = snapshot.error.splitlines()[0]
            screen.show_notice(f"the run has ended, or does not answer ({seconds:.0f} s): looking for one. {first}")
            return
        if self._silent_since or snapshot.another:
            self.notify("connected to another run" if snapshot.another else "the run answers again")
        self._silent_since = 0.0
        screen.show_notice(f"♪ {self.heard}: l stops it" if self.listening else "")
        screen.show(snapshot)
