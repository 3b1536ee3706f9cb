"""The table of all calls."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final, get_args

import msgspec
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Footer, Input, Static

from flowcore.control.live_query import MAX_MATCH, Sort
from flowcore.top import words
from flowcore.top.base_screen import TopScreen
from flowcore.top.call_screen import CallScreen
from flowcore.top.columns import Column, cell, fitting, titles
from flowcore.top.feed import Snapshot
from flowcore.top.host_screen import name_of

SCROLLBAR: Final = 2
"""Cells that the table keeps for its scroll bar."""
GUARD: Final = 1.5
"""Seconds after the end of the selected call in which keys for a call do nothing: they were meant for that one."""


class CallTable(DataTable[Text]):
    """The rows; the cursor stays on its call when rows change their places."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "Follow")]


class CallsScreen(TopScreen):
    """The live calls, page by page."""

    DEFAULT_CSS = """
    CallsScreen CallTable { height: 1fr; }
    CallsScreen #filter { display: none; height: 1; border: none; padding: 0 1; }
    CallsScreen #none { height: 1fr; padding: 1 1; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("left_square_bracket", "page(-1)", "Before", show=False),
        Binding("right_square_bracket", "page(1)", "Next", show=False),
        Binding("escape", "clear", "All", show=False),
        Binding("q", "app.leave", "Quit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Mapping[str, Any]] = []
        self._cells: list[list[str]] = []
        self._columns: list[tuple[Column, int]] = []
        self._ended_at = float("-inf")
        self._matched = 0

    def compose(self) -> ComposeResult:
        yield Static(classes="line title")
        yield Static(classes="line", id="totals")
        yield Static(classes="notice")
        yield CallTable(cursor_type="row", cell_padding=0)
        yield Static(id="none")
        yield Static(classes="events")
        yield Input(placeholder="id or number, then Enter", id="filter", max_length=MAX_MATCH, compact=True)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self._table.focus()

    def on_resize(self) -> None:
        self._show_calls(self._calls)

    @property
    def _table(self) -> CallTable:
        return self.query_one(CallTable)

    def selected(self) -> Mapping[str, Any] | None:
        if time.monotonic() - self._ended_at < GUARD:
            self.notify("that call has ended: the cursor is on another one now", severity="warning")
            return None
        row = self._table.cursor_row
        return self._calls[row] if row < len(self._calls) else None

    def show(self, snapshot: Snapshot) -> None:
        page, query = snapshot.page, snapshot.watched.query
        self._matched = page["matched"]
        self.query_one(".title", Static).update(_line(words.run_title(page, snapshot.room, short=True)))
        first, last = query.offset + 1, query.offset + len(page["calls"])
        order = f"by {query.sort}" + (f"  filter: {query.match}" if query.match else "")
        part = f"  {first}–{last} of {page['matched']}" if last < page["matched"] or query.offset else ""
        self.query_one("#totals", Static).update(_line(f"{words.run_totals(page)}  {order}{part}"))
        processes = max(len(page["processes"]), len({call["worker"] for call in page["calls"]}))
        self._show_calls(page["calls"], processes)
        none = self.query_one("#none", Static)
        none.display = not page["calls"]
        self._table.display = not none.display
        without = f"no call matches {query.match!r}: Esc shows all"
        none.update(Text(without if query.match else "no live calls: waiting for one"))
        self.show_events(page["events"], {call["flow"]: name_of(call) for call in page["calls"]})

    def _show_calls(self, calls: list[Mapping[str, Any]], processes: int | None = None) -> None:
        table = self._table
        chosen = self._calls[table.cursor_row]["flow"] if table.cursor_row < len(self._calls) else ""
        known = processes or (2 if any(column.title == "worker" for column, _ in self._columns) else 1)
        columns = fitting(self.size.width - SCROLLBAR, known)
        if columns != self._columns:
            table.clear(columns=True)
            self._cells = []
            for title, (_, width) in zip(titles(columns), columns, strict=True):
                table.add_column(Text(title), width=width + 1)
            self._columns = columns
        for row, call in enumerate(calls):
            self._show_call(row, call)
        for row in range(len(self._cells) - 1, len(calls) - 1, -1):
            table.remove_row(str(row))
        del self._cells[len(calls) :]
        self._calls = calls
        places = [call["flow"] for call in calls]
        if chosen in places:
            table.move_cursor(row=places.index(chosen))
        elif chosen:
            self._ended_at = time.monotonic()

    def _show_call(self, row: int, call: Mapping[str, Any]) -> None:
        table, trouble = self._table, words.trouble(call)
        cells = [*(cell(column, width, call) for column, width in self._columns), trouble]
        style = words.STYLES[trouble]
        if row == len(self._cells):
            table.add_row(*(Text(one, style) for one in cells[:-1]), key=str(row))
            self._cells.append(cells)
            return
        before = self._cells[row]
        for place, one in enumerate(cells[:-1]):
            if one != before[place] or trouble != before[-1]:
                table.update_cell_at(Coordinate(row, place), Text(one, style))
        self._cells[row] = cells

    @on(DataTable.RowSelected)
    def _follow(self) -> None:
        if call := self.selected():
            self.app.push_screen(CallScreen(call["flow"], name_of(call)))
            self.app.look_at(flow=call["flow"])

    def action_sort(self) -> None:
        """Sort by the next column."""
        orders = get_args(Sort)
        place = orders.index(self.app.watched.query.sort) + 1
        self._ask(sort=orders[place % len(orders)], offset=0)

    def action_page(self, pages: int) -> None:
        """Show the next page, or the one before."""
        query = self.app.watched.query
        offset = query.offset + pages * query.limit
        if 0 <= offset < self._matched:
            self._ask(offset=offset)

    def action_filter(self) -> None:
        """Ask for a text to look for in ids."""
        field = self.query_one("#filter", Input)
        field.value = self.app.watched.query.match
        field.display = True
        field.focus()

    def action_clear(self) -> None:
        """Close the filter, and show all calls."""
        self._close_filter()
        if self.app.watched.query.match:
            self._ask(match="", offset=0)

    @on(Input.Submitted)
    def _filtered(self, event: Input.Submitted) -> None:
        self._close_filter()
        self._ask(match=event.value.strip(), offset=0)

    def _close_filter(self) -> None:
        self.query_one("#filter", Input).display = False
        self._table.focus()

    def _ask(self, **changes: Any) -> None:
        self._calls = []  # the cursor begins anew
        self._ended_at = float("-inf")
        self.app.look_at(query=msgspec.structs.replace(self.app.watched.query, **changes))


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
