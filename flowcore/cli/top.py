"""``flowcore top``: the live calls of a running flowcore, those with trouble first."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from flowcore.cli.options import Control
from flowcore.cli.show import show_result, whole_columns
from flowcore.control.live_query import MAX_CALLS, MAX_MATCH, LiveQuery, Sort
from flowcore.node import Extra
from flowcore.top import words
from flowcore.top.columns import COLUMNS
from flowcore.top.feed import Feed, Snapshot, Watched, look_twice


def top(
    control: Control = None,
    sort: Annotated[Sort, typer.Option(help="Order; trouble: failed nodes, losses, full queues.")] = "trouble",
    match: Annotated[
        str, typer.Option(metavar="TEXT", help="Only calls with an id or a phone number that contains TEXT.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=MAX_CALLS, help="Calls on a page.")] = MAX_CALLS,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: print the live data as JSON.")] = False,
) -> None:
    """Show the live calls in the terminal, those with trouble first.

    Levels, losses, queues and latency are shown anew once a second.

    Enter shows one call node by node; ? lists all keys. With --once it looks twice, one second apart, because levels
    and recent losses are differences.

    Exit code: 0 done, 2 no process is running, or several are and --control is missing.
    """
    if len(match) > MAX_MATCH:
        raise typer.BadParameter(f"give {MAX_MATCH} characters at most", param_hint="--match")
    query = LiveQuery(sort=sort, match=match, limit=limit)
    feed = Feed(control)
    try:
        if once:
            snapshot = look_twice(feed, query)
            if as_json:
                print(json.dumps(snapshot.page))  # noqa: T201  # the result
            else:
                show_result(table(snapshot))
            return
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    if as_json:
        raise typer.BadParameter("this is for one look: give --once too", param_hint="--json")
    if not sys.stdout.isatty():
        raise typer.BadParameter("standard output is no terminal: give --once", param_hint="flowcore top")
    Extra("textual", "top").check("`flowcore top`")
    first = feed.look(Watched(query))  # before the screen is taken: an error stays to be read
    from flowcore.top.app_screen import TopApp

    app = TopApp(feed, query, first)
    app.run()
    raise typer.Exit(app.return_code or 0)


def table(snapshot: Snapshot) -> Group:
    """Return all that the screen shows of the run and its calls, as whole words."""
    page = snapshot.page
    calls = page["calls"]
    rows = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        rows.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for call in calls:
        rows.add_row(*(Text(column.text(call).strip(), words.STYLES[words.trouble(call)]) for column in COLUMNS))
    lines: list[Any] = [Text(words.run_title(page, snapshot.room)), Text(words.run_totals(page))]
    if calls:
        lines.append(whole_columns(rows))
    lines.append(Text(shown(page)))
    return Group(*lines)


def shown(page: Mapping[str, Any]) -> str:
    """Return how many calls are shown of those that match, and of all."""
    count, matched, live = len(page["calls"]), page["matched"], page["run"]["calls"]
    told = f"{count} of {matched} calls" if count < matched else f"{count} call{'s' * (count != 1)}"
    return told if matched == live else f"{told} of {live} live ones"
