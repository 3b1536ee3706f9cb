"""What the screens of `flowcore top` have in common: header, notice, events, and commands for the selected call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import work
from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from flowcore.control import control_call
from flowcore.control.call_control import Action
from flowcore.diagnostics import printable
from flowcore.errors import UsageError
from flowcore.top import words
from flowcore.top.dialogs_screen import end_dialog, help_dialog, party_dialog
from flowcore.top.feed import Snapshot
from flowcore.top.host_screen import EVENT_LINES, TopHost, name_of
from flowcore.top.listening import can_play, show_levels

LEVEL_STYLES: Final = {"warning": "yellow", "error": "bold red"}
LEVEL_MARKS: Final = {"info": " ", "warning": "!", "error": "✗"}
MIN_HEIGHT: Final = 14
"""Lines of a terminal without room for events."""


class TopScreen(Screen[None]):
    """A screen with a selected call."""

    app: TopHost
    DEFAULT_CSS = """
    TopScreen Static.line { height: 1; padding: 0 1; }
    TopScreen .title { background: $panel; text-style: bold; }
    TopScreen .notice { height: auto; padding: 0 1; background: $error; color: $text; text-style: bold; display: none; }
    TopScreen .events { height: auto; padding: 0 1; border-top: solid $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("l", "listen", "Listen"),
        Binding("p", "pause", "Pause"),
        Binding("m", "mute", "Mute"),
        Binding("e", "end", "End"),
        Binding("v", "events", "Events", show=False),
    ]

    def selected(self) -> Mapping[str, Any] | None:
        """Return the row of the call that commands are for."""
        raise NotImplementedError

    def show(self, snapshot: Snapshot) -> None:
        """Show the answers to a look."""
        raise NotImplementedError

    def show_notice(self, text: str) -> None:
        """Show a line that stays, or none if it is empty."""
        notice = self.query_one(".notice", Static)
        notice.update(Text(text))
        notice.display = bool(text)

    def show_events(self, records: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> None:
        """Show the latest events, as many as there is room for; ``names`` are those of calls, by flow."""
        count = min(EVENT_LINES, (self.size.height - MIN_HEIGHT) // 2)
        pane, width = self.query_one(".events", Static), self.size.width - 2
        pane.display = self.app.with_events and count > 0
        lines = []
        for record in records[-count:] if count > 0 else ():
            line = f"{LEVEL_MARKS.get(record['level'], ' ')} {words.event(record, names)}"
            shown = line if len(line) <= width else line[: width - 1] + "…"
            lines.append(Text(shown, LEVEL_STYLES.get(record["level"], "")))
        pane.update(Text("\n").join(lines) if lines else Text("no events yet", "dim"))

    def action_events(self) -> None:
        """Show the events, or hide them."""
        self.app.with_events = not self.app.with_events
        self.query_one(".events", Static).display = self.app.with_events

    def action_help(self) -> None:
        """Show all keys."""
        self.app.push_screen(help_dialog(self.size.width))

    def action_pause(self) -> None:
        """Pause the selected call, or resume it."""
        if call := self.selected():
            self._command(call, "resume" if call["paused"] else "pause")

    def action_mute(self) -> None:
        """Ask which party of the selected call to mute or unmute."""
        if (call := self.selected()) is None:
            return
        parties = sorted({*call["parties"], *call["muted"]})
        if not parties:
            self.notify("no party of this call has sent audio yet", severity="warning")
            return

        def chosen(number: str | None) -> None:
            if number:
                party = parties[int(number) - 1]
                self._command(call, "unmute" if party in call["muted"] else "mute", party)

        self.app.push_screen(party_dialog(list(map(printable, parties)), list(map(printable, call["muted"]))), chosen)

    def action_end(self) -> None:
        """Ask whether to end the selected call."""
        if (call := self.selected()) is None:
            return

        def answered(key: str | None) -> None:
            if key:
                self._command(call, "end")

        self.app.push_screen(end_dialog(name_of(call), words.age(call["age_s"])), answered)

    def action_listen(self) -> None:
        """Play the selected call, or stop; show its levels where nothing can be played."""
        if self.app.listening is not None:
            self.app.stop_listening()
        elif call := self.selected():
            if can_play():
                self.app.listen(call)
            else:
                self._show_levels(call["flow"])

    def _show_levels(self, flow: str) -> None:
        try:
            path = self.app.feed.path
            with self.app.suspend():
                self.app.poller.stop()
                show_levels(path, flow)
        except UsageError as error:
            self.notify(str(error), severity="error", markup=False)
        except SuspendNotSupported:
            self.notify("to play calls: pip install 'flowcore[monitor]'", severity="warning", markup=False)
        self.app.poller.start()

    def _command(self, call: Mapping[str, Any], action: Action, party: str = "") -> None:
        try:
            path = self.app.feed.path
        except UsageError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self._carry_out(path, call["flow"], name_of(call), action, party)

    @work(thread=True)
    def _carry_out(self, path: Path, flow: str, name: str, action: Action, party: str) -> None:
        tell = partial(self.notify, markup=False)
        try:
            done = control_call(path, flow, action, party)
            tell = partial(tell, f"{name}: {said(action, printable(party), done)}")
        except UsageError as error:
            tell = partial(tell, f"{name}: {error}", severity="error")
        self.app.call_from_thread(tell)
        self.app.poller.now()


def said(action: Action, party: str, done: Mapping[str, Any]) -> str:
    """Return what a command did, in words."""
    texts = {"end": "ends", "pause": "is paused", "resume": "is heard again"}
    text = texts.get(action) or f"{party} is {'muted' if action == 'mute' else 'heard again'}"
    return text if done["changed"] else f"{text} already"
