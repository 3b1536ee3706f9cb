"""One call, node by node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from flowcore.diagnostics import counted, printable
from flowcore.top import words
from flowcore.top.base_screen import TopScreen
from flowcore.top.feed import Snapshot

WIDE: Final = 70
"""Cells from which all columns of a node are shown."""


class CallScreen(TopScreen):
    """The nodes of one call in the order of the graph, and what happened to the call."""

    DEFAULT_CSS = """
    CallScreen VerticalScroll { height: 1fr; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "calls", "Back", key_display="Esc"),
        Binding("q", "calls", "Back", show=False),
    ]

    def __init__(self, flow: str, name: str) -> None:
        super().__init__()
        self._flow = flow
        self._title = name
        self._call: Mapping[str, Any] | None = None
        self._before: Mapping[str, Any] | None = None
        self._ended = False

    def compose(self) -> ComposeResult:
        yield Static(Text(self._title), classes="line title")
        yield Static(classes="notice")
        with VerticalScroll():
            yield Static("…", id="call")
        yield Static(classes="events")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def selected(self) -> Mapping[str, Any] | None:
        if self._ended:
            self.notify("the call has ended", severity="warning")
            return None
        return self._call

    def action_calls(self) -> None:
        """Show all calls again."""
        self.app.pop_screen()
        self.app.look_at(flow="")

    def show(self, snapshot: Snapshot) -> None:
        if snapshot.watched.flow != self._flow:  # asked for before this screen came
            return
        found = snapshot.call
        if found is None:
            self._ended = True
            self.show_notice("the call has ended: Esc goes back to the others")
            return
        self._call = found["call"]
        shown = Group(*_facts(found), _nodes(found, self._before, self.size.width))
        self.query_one("#call", Static).update(shown)
        self.show_events(found["events"], {self._flow: ""})
        self._before = found


def _facts(found: Mapping[str, Any]) -> list[Text]:
    call, timeline = found["call"], found["timeline"]
    levels = [f"{printable(party) or 'level'} {words.level(db)}" for party, db in call["levels"].items()]
    lines = [
        Text("   ".join([words.age(call["age_s"]), words.whole_state(call), *levels])),
        Text(f"flow {call['flow']}   version {call['version']}   worker {call['worker']}", "dim"),
    ]
    if call["lost"]:
        lines.append(Text(f"! lost {words.losses(call['lost'])}", "bold red"))
    held, silenced = timeline["holds"], timeline["silenced"]
    marks = [f"{counted(len(held), 'hold')}, {words.length(_seconds(held) * 1000)}"] if held else []
    parties = {one["track"] for one in silenced}
    longest = max((_seconds(one for one in silenced if one["track"] == party) for party in parties), default=0.0)
    marks += [f"silenced by an operator: {words.length(longest * 1000)}"] if silenced else []
    if marks:
        lines.append(Text("   ".join(marks)))
    if found["files"]:
        lines.append(Text(f"files: {', '.join(found['files'])}"))
    return [*lines, Text()]


def _seconds(stretches: Iterable[Mapping[str, Any]]) -> float:
    return float(sum(one["end"] - one["start"] for one in stretches))


def _nodes(found: Mapping[str, Any], before: Mapping[str, Any] | None, width: int) -> Table:
    wide = width >= WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("node", overflow="fold", min_width=8)
    for title in ("in", "out", "queue", "wait", "busy") if wide else ("queue",):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("dropped, filled in" if wide else "dropped", overflow="fold", min_width=14)
    earlier = {node["name"]: node["busy_ms"] for node in before["nodes"]} if before else {}
    passed = found["at"] - before["at"] if before else 0.0
    for node in found["nodes"]:
        queue = node["queue"]
        busy = "–"
        if node["name"] in earlier and passed > 0:
            busy = f"{(node['busy_ms'] - earlier[node['name']]) / passed / 10:.1f} %"
        cells = [
            _amount(node["in"]),
            _amount(node["out"]),
            _full(queue),
            words.length(queue["latest_wait_ms"]) if queue else "",
            busy,
        ]
        style = "bold red" if node["state"] != "ok" or node["lost_ms"] else ""
        table.add_row(_name(node, wide), *(cells if wide else [_full(queue)]), _reasons(node), style=style)
    return table


def _name(node: Mapping[str, Any], wide: bool) -> Text:
    name = Text(node["name"])
    if wide and node["use"] != node["name"]:
        name.append(f" ({node['use']})", "dim")
    return name


def _full(queue: Mapping[str, Any] | None) -> str:
    return words.queue(queue) if queue else ""


def _amount(amount: Mapping[str, float]) -> str:
    return words.length(amount["ms"]) if amount["ms"] else f"{amount['chunks']:.0f} ×" if amount["chunks"] else "–"


def _reasons(node: Mapping[str, Any]) -> str:
    parts = [f"✗ {node['state']}: {node['error']}"] if node["state"] != "ok" else []
    parts += [words.amounts(node["dropped"])] if node["dropped"] else []
    parts += [f"filled in: {words.amounts(node['filled'])}"] if node["filled"] else []
    return "; ".join(parts)
