"""The dialogs of `flowcore top`: help, a question, and the choice of a party."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import ClassVar, Final

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

KEYS: Final = (
    ("↑ ↓", "choose a call"),
    ("Enter", "follow it, node by node"),
    ("l", "listen, or stop"),
    ("p", "pause, or resume"),
    ("m", "mute a party, or unmute"),
    ("e", "end the call (asks)"),
    ("s", "next order"),
    ("/", "filter by id or number"),
    ("[ ]", "page before, next page"),
    ("v", "events, or not"),
    ("Esc", "back"),
    ("q", "quit"),
)
MEANINGS: Final = """\
✗ a node failed
! audio was lost in the last 10 s
▲ a queue is over a quarter full

state    live, hold (no packets for 2 s),
         paused, muted, ending
agent, customer
         level in dB full scale
lost     audio lost since the beginning
10 s     audio lost in the last 10 s
queue    how full the fullest queue is
latency  what the latest chunk waited
         in the slowest queue
"""
SIDE_BY_SIDE: Final = 78
"""Cells from which keys and meanings stand side by side."""


class Dialog(ModalScreen[str]):
    """A text over the screen. ``keys`` are the keys that answer it; Esc, and any other key of ``leave``, do not."""

    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > VerticalScroll { width: auto; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
        border: round $primary; background: $surface; }
    Dialog Static { width: auto; max-width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "back", show=False)]

    def __init__(self, text: Text, keys: Sequence[str], leave: Sequence[str] = ("q", "n", "question_mark")) -> None:
        super().__init__()
        self._text = text
        self._keys = keys
        self._leave = leave

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self._text)

    def on_key(self, event: events.Key) -> None:
        if event.key in self._keys:
            event.stop()
            self.dismiss(event.key)
        elif event.key in self._leave:
            event.stop()
            self.action_leave()

    def action_leave(self) -> None:
        """Close the dialog without an answer."""
        self.dismiss("")


def help_dialog(width: int) -> Dialog:
    """Return the keys, and the meanings of marks and columns, for a terminal of this width."""
    keys = [Text.assemble((f"{key:<6}", "bold"), f"{meaning:<28}") for key, meaning in KEYS]
    meanings = [Text(line) for line in MEANINGS.splitlines()]
    if width >= SIDE_BY_SIDE:
        blank = Text(" " * len(keys[0]))
        lines = [one + other for one, other in zip_longest(keys, meanings, fillvalue=blank)]
    else:
        lines = [*keys, Text(), *meanings]
    return Dialog(Text("\n").join(lines), (), ("q", "question_mark", "enter", "space"))


def end_dialog(name: str, age: str) -> Dialog:
    """Return the question whether to end a call; the answer is ``y``."""
    question = Text.assemble("End call ", (name, "bold"), f" after {age}?\n\n")
    return Dialog(question + Text.assemble(("y", "bold"), " end   ", ("n", "bold"), " keep"), ("y",))


def party_dialog(parties: Sequence[str], muted: Sequence[str]) -> Dialog:
    """Return the choice of a party to mute or unmute; the answer is its number, from 1."""
    text = Text("Mute or unmute\n\n")
    for number, party in enumerate(parties, 1):
        text.append(f"{number}", "bold").append(f" {party}" + (" (muted)" if party in muted else "") + "\n")
    return Dialog(text, [str(number) for number in range(1, len(parties) + 1)])
